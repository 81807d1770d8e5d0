import { createHash } from 'node:crypto'
import { HubError } from '../errors.ts'
import type { FieldType, FieldValue } from '../filters.ts'
import { newId } from '../ids.ts'
import type { Span } from '../text/sentences.ts'
import { SPLITTER_VERSION, splitText } from '../text/split-text.ts'
import type { DocumentInput, Metadata } from './documents.ts'
import type { Index } from './indexes.ts'
import { toVector } from './query-vector.ts'

/** A document that is fit to be written. */
export interface PreparedDocument {
  id: string
  text: string
  metadata: Metadata
  /** What of the metadata is declared, as the store takes it. */
  fields: Record<string, FieldValue>
  /** Its chunks. */
  parts: Span[]
  /** Of the one chunk, where it came along. */
  vector?: Float32Array
  /** SHA-256 of all that its chunks and vectors are made of: of the same, nothing is written again. */
  sha: string
}

const MAX_TEXT_BYTES = 10 * 1024 * 1024
const MAX_METADATA_BYTES = 64 * 1024
const MAX_ID_CHARACTERS = 512

/**
 * Checks documents and cuts them into chunks. An id may stand once in a call: which one should win, only the caller knows.
 *
 * Errors: 400 `invalid_value` or `invalid_vector` with the path in `param` (`documents[3].metadata.year`), 413 `text_too_large`.
 */
export function prepareDocuments(index: Index, documents: readonly DocumentInput[]): PreparedDocument[] {
  const seen = new Set<string>()
  return documents.map((document, i) => {
    const path = `documents[${i}]`
    const { id = newId(), text, metadata = {} } = document
    checkId(id, `${path}.id`)
    if (seen.has(id)) throw invalid(`${path}.id`, 'Another document of this call has this id.')
    seen.add(id)
    checkText(text, `${path}.text`)
    const fields = checkMetadata(metadata, index.vectors.fields, `${path}.metadata`)
    const vector = document.vector && toVector(document.vector, index.vectors.dimensions, `${path}.vector`)
    if (!vector && index.embeddingModel === null) {
      throw invalid(`${path}.vector`, 'The index has no embedding model: its documents bring their vectors.')
    }
    const parts = vector
      ? splitText(text, { size: text.length, overlap: 0 })
      : splitText(text, index.chunking)
    return { id, text, metadata, fields, parts, vector, sha: hashOf(index, text, metadata, vector) }
  })
}

/** The declared fields of a document's metadata, as `matches` takes them; what is not of its type was never accepted. */
export function fieldsOf(metadata: Metadata, declared: Readonly<Record<string, FieldType>>) {
  return checkMetadata(metadata, declared, 'metadata')
}

function checkId(id: string, path: string): void {
  const isFit = id.length >= 1 && id.length <= MAX_ID_CHARACTERS && !/[\u0000-\u001f\u007f-\u009f]/.test(id)
  if (!isFit || !id.isWellFormed())
    throw invalid(
      path,
      `must be 1 to ${MAX_ID_CHARACTERS} characters of valid Unicode, none of them a control character.`,
    )
}

function checkText(text: string, path: string): void {
  if (!text.isWellFormed()) throw invalid(path, 'is no valid Unicode: it has half of a surrogate pair.')
  if (text.trim() === '') throw invalid(path, 'is empty.')
  if (text.length > MAX_TEXT_BYTES || Buffer.byteLength(text) > MAX_TEXT_BYTES) {
    const message = `${path}: is larger than ${MAX_TEXT_BYTES} bytes. Split the document.`
    throw new HubError({ code: 'text_too_large', status: 413, message, param: path })
  }
}

function checkMetadata(
  metadata: Metadata,
  declared: Readonly<Record<string, FieldType>>,
  path: string,
): Record<string, FieldValue> {
  if (Buffer.byteLength(JSON.stringify(metadata)) > MAX_METADATA_BYTES)
    throw invalid(path, `is larger than ${MAX_METADATA_BYTES} bytes as JSON.`)
  checkUnicode(metadata, path)
  const fields: Record<string, FieldValue> = {}
  for (const [name, type] of Object.entries(declared)) {
    // An explicit null is what many exporters write for a field that is not there.
    const value = Object.hasOwn(metadata, name) ? metadata[name] : undefined
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) continue
    fields[name] = toField(value, type, `${path}.${name}`)
  }
  return fields
}

function toField(value: unknown, type: FieldType, path: string): FieldValue {
  if (type === 'number') {
    if (typeof value === 'number' && Number.isFinite(value)) return value
    throw invalid(path, 'is declared a number, and must be a finite one.')
  }
  if (typeof value === 'string') return value
  if (type === 'text') throw invalid(path, 'is declared a text, and must be a string.')
  if (typeof value === 'boolean') return String(value)
  if (Array.isArray(value) && value.every((one) => typeof one === 'string'))
    return [...new Set<string>(value)]
  throw invalid(path, 'is declared a tag, and must be a string, a boolean or a list of strings.')
}

function checkUnicode(value: unknown, path: string): void {
  if (typeof value === 'string' && !value.isWellFormed())
    throw invalid(path, 'is no valid Unicode: it has half of a surrogate pair.')
  if (typeof value !== 'object' || value === null) return
  for (const [key, part] of Object.entries(value)) {
    checkUnicode(key, path)
    checkUnicode(part, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`)
  }
}

function hashOf(index: Index, text: string, metadata: Metadata, vector?: Float32Array): string {
  const made = vector ? Buffer.from(vector.buffer).toString('base64') : index.chunking
  const parts = [SPLITTER_VERSION, index.embeddingModel, index.vectors.dimensions, made, inOrder(metadata)]
  return createHash('sha256').update(JSON.stringify(parts)).update('\n').update(text).digest('hex')
}

/** The same whatever the order of keys. */
function inOrder(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(inOrder)
  return {
    of: Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, part]) => [key, inOrder(part)]),
  }
}

const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${message}`, param })
