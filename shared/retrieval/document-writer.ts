import type { Embeddings } from '../embeddings/embeddings.ts'
import { HubError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import type { Chunk, Vectors } from '../ports/vectors.ts'
import { dropCitedBy } from './cited-by.ts'
import { type PreparedDocument, prepareDocuments } from './document-input.ts'
import { begin, commit, enlist, look, must, seen } from './document-state.ts'
import type { DocumentEntry, DocumentSweeps } from './document-sweeps.ts'
import type { Documents, WriteCall } from './documents.ts'
import { isServed, readRecord, servingCall } from './index-record.ts'
import { type Index, unknownIndex } from './indexes.ts'
import { ABANDONED_MS, documentEntry, sweepCall, sweptCall, WRITE_MS } from './sweep-entry.ts'

export interface DocumentWriterOptions {
  redis: Redis
  cacheRedis: Redis
  vectors: Vectors
  embeddings: Embeddings
  documentSweeps: DocumentSweeps
  clock: Clock
}

/** Writing may wait longer than searching. */
const TIMEOUT_MS = 5_000
const VECTORS_MS = 30_000
/** What goes to the store at once, so that memory and single waves stay bounded; a larger document goes alone. */
const BATCH = { chunks: 500, characters: 700_000 }

/** `Documents.put`. */
export function createDocumentWriter(options: DocumentWriterOptions): Documents['put'] {
  const { redis, cacheRedis, vectors, embeddings, documentSweeps, clock } = options

  return async (index, documents, call) => {
    const prepared = prepareDocuments(index, documents)
    const wave = waveOf(call)
    const replies = await wave(prepared.map(({ id }) => look(index, id, 'sha')))
    const isSame = prepared.map(({ sha }, i) => seen(index, replies[i])?.fields[0] === sha)
    const changed = prepared.filter((_, i) => !isSame[i])
    const chunks = await toChunks(index, prepared, changed, call)
    for (const batch of batchesOf(changed)) await write(index, batch, chunks, call)
    return prepared.map(({ id, parts }, i) => ({ id, chunks: parts.length, unchanged: isSame[i]! }))
  }

  /** Embeds all of them before any is written. A chunk's version is not known yet. */
  async function toChunks(
    index: Index,
    all: PreparedDocument[],
    changed: PreparedDocument[],
    { caller, signal, defer }: WriteCall,
  ): Promise<Map<PreparedDocument, Omit<Chunk, 'version'>[]>> {
    const bare = changed.filter(({ vector }) => !vector)
    const owners = bare.flatMap((document) => document.parts.map(() => document))
    const texts = bare.flatMap(({ text, parts }) => parts.map(({ start, end }) => text.slice(start, end)))
    let made: Float32Array[] = []
    if (texts.length > 0) {
      const { embeddingModel: model, embeddingDimensions: dimensions } = index
      const embedding = {
        caller,
        model: model!,
        isGiven: true,
        texts,
        dimensions,
        purpose: 'document' as const,
        signal,
        defer,
      }
      made = (
        await embeddings.embed(embedding).catch((error) => {
          throw withPath(error, (n) => all.indexOf(owners[n]!))
        })
      ).vectors
    }
    const wrong = made.find((vector) => vector.length !== index.vectors.dimensions)
    if (wrong) throw changedModel(index, wrong.length)
    const zero = made.findIndex((vector) => vector.every((number) => number === 0))
    if (zero >= 0) throw withoutMeaning(index, all.indexOf(owners[zero]!))
    let next = 0
    return new Map(
      changed.map((document) => [
        document,
        document.parts.map(({ start, end }, n) => ({
          documentId: document.id,
          n,
          vector: document.vector ?? made[next++]!,
          text: document.text.slice(start, end),
          fields: document.fields,
          hash: { _start: String(start), _end: String(end) },
        })),
      ]),
    )
  }

  async function write(
    index: Index,
    documents: PreparedDocument[],
    chunks: Map<PreparedDocument, Omit<Chunk, 'version'>[]>,
    call: WriteCall,
  ): Promise<void> {
    const wave = waveOf(call)
    const stopAt = clock.now() + WRITE_MS
    const [serving, ...begun] = await wave([
      servingCall(index),
      ...documents.map(({ id }) => begin(index, id)),
    ])
    if (!isServed(readRecord(serving), index) || begun.includes(-1)) throw unknownIndex(index.vectors.name)
    const versions = begun as number[]
    const entries = documents.map(
      ({ id, parts }, i) =>
        documentEntry(index, { id, version: versions[i]!, chunks: parts.length }) as DocumentEntry,
    )
    const visit = (some: DocumentEntry[], served: boolean) =>
      // What fails here, the sweeper does when the entry is due.
      documentSweeps.visit(index, some, { served }).catch(() => {})
    try {
      const ids = documents.map(({ id }) => id)
      // Known to the sweeper and listed before anything is there: whoever dies from here on leaves nothing unknown.
      const dueAt = clock.now() + ABANDONED_MS
      await wave([...entries.map((entry) => sweepCall(entry, dueAt)), enlist(index, ids)])
      const versioned = documents.flatMap((document, i) =>
        chunks.get(document)!.map((chunk) => ({ ...chunk, version: versions[i]! })),
      )
      await vectors.put(index.vectors, versioned, { timeoutMs: VECTORS_MS, signal: call.signal })
      if (clock.now() > stopAt) throw tooSlow()
      const outcomes = await wave(documents.map((document, i) => commit(index, document, versions[i]!)))
      // A sweeper may have struck an id that it saw without a version; an index may have been deleted past its sweep.
      const [stillServing] = await wave([servingCall(index), enlist(index, ids)])
      const isGone = !isServed(readRecord(stillServing), index)
      if (isGone || outcomes.includes('gone')) {
        await visit(entries, !isGone)
        throw unknownIndex(index.vectors.name)
      }
      await dropCitedBy({ redis, cacheRedis }, index.vectors, ids, { timeoutMs: TIMEOUT_MS })
      const isNew = (_: unknown, i: number) => outcomes[i] === 'committed'
      const fresh = entries.filter(isNew)
      if (fresh.length) call.defer(redis.wave(fresh.map(sweptCall), { timeoutMs: TIMEOUT_MS }))
      call.defer(
        visit(
          entries.filter((_, i) => outcomes[i] !== 'committed'),
          true,
        ),
      )
    } catch (error) {
      call.defer(visit(entries, true))
      throw error
    }
  }

  function waveOf({ signal }: WriteCall) {
    return async (calls: Parameters<Redis['wave']>[0]) =>
      must(await redis.wave(calls, { timeoutMs: TIMEOUT_MS, signal }))
  }
}

function batchesOf(documents: PreparedDocument[]): PreparedDocument[][] {
  const batches: PreparedDocument[][] = []
  let room = { chunks: 0, characters: 0 }
  for (const document of documents) {
    const { parts, text } = document
    if (batches.length === 0 || room.chunks < parts.length || room.characters < text.length) {
      batches.push([])
      room = { ...BATCH }
    }
    batches.at(-1)!.push(document)
    room = { chunks: room.chunks - parts.length, characters: room.characters - text.length }
  }
  return batches
}

/** The embedder counts texts; the caller knows documents. */
function withPath(error: unknown, documentOf: (text: number) => number): unknown {
  const at = error instanceof HubError && /^input\[(\d+)\]/.exec(error.param ?? '')
  if (!at) return error
  const { options, cause } = error as HubError
  return new HubError({ ...options, param: `documents[${documentOf(Number(at[1]))}].text`, cause })
}

const changedModel = ({ embeddingModel, vectors: { name, dimensions } }: Index, length: number) =>
  new HubError({
    code: 'embedding_model_changed',
    status: 502,
    message: `\`${embeddingModel}\` now makes vectors of ${length} dimensions, and the index \`${name}\` has ${dimensions}. Build another index with it, and lead an alias there.`,
  })

const withoutMeaning = ({ embeddingModel }: Index, document: number) =>
  new HubError({
    code: 'zero_embedding',
    status: 422,
    message: `documents[${document}].text: \`${embeddingModel}\` finds nothing in a part of it: its vector is zero, which is near to nothing.`,
    param: `documents[${document}].text`,
  })

const tooSlow = () =>
  new HubError({
    code: 'write_timeout',
    status: 503,
    message: 'Writing took too long and was given up; what was there stays. Try again with fewer documents.',
    retryAfterSeconds: 5,
  })
