import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { UsageError } from './command.ts'

/** A vector database's record, whatever its own shape. */
export interface ImportedRecord {
  id: string
  vector?: number[]
  metadata: Record<string, unknown>
}

/** Reads one database: its API, and what it exports. */
export interface ImportSource {
  /** Pages of records, in the database's order. */
  fetch(options: FetchOptions): AsyncGenerator<ImportedRecord[]>
  /** Undefined for what is no record. */
  read(value: unknown, options: { vectorName?: string }): ImportedRecord | undefined
}

interface FetchOptions {
  url: URL
  key: string | undefined
  namespace: string | undefined
  vectorName: string | undefined
  signal: AbortSignal
}

const PAGE = 100

/** Records of an export: a JSON array, an object that holds one (`vectors`, `objects`, …), or one JSON object a line. */
export async function* readExport(
  path: string,
  read: (value: unknown) => ImportedRecord | undefined,
): AsyncGenerator<ImportedRecord[]> {
  if (!(await stat(path).catch(() => undefined))) throw new UsageError(`There is no file ${path}.`)
  let page: ImportedRecord[] = []
  let n = 0
  for await (const value of valuesOf(path)) {
    n++
    const record = read(value)
    if (!record)
      throw new UsageError(`${path}: record ${n} has no id or no data: is it an export of that database?`)
    page.push(record)
    if (page.length < PAGE) continue
    yield page
    page = []
  }
  if (page.length > 0) yield page
}

async function* valuesOf(path: string): AsyncGenerator<unknown> {
  if (await isLines(path)) {
    for await (const line of createInterface({
      input: createReadStream(path),
      crlfDelay: Number.POSITIVE_INFINITY,
    })) {
      if (line.trim() !== '') yield parse(path, line)
    }
    return
  }
  const whole = parse(path, await readFile(path, 'utf8'))
  const held = Array.isArray(whole)
    ? whole
    : Object.values(whole as object).find((part) => typeof part === 'object' && part)
  if (!held) throw new UsageError(`${path}: there are no records in it.`)
  // Pinecone's own fetch answers with an object by id.
  yield* Array.isArray(held) ? held : Object.values(held as object)
}

/** Whether its first line is a whole record. */
async function isLines(path: string): Promise<boolean> {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })
  try {
    for await (const line of lines) {
      if (line.trim() === '') continue
      const value = JSON.parse(line)
      return typeof value === 'object' && value !== null && 'id' in value
    }
  } catch {
    // A JSON document over several lines.
  } finally {
    lines.close()
  }
  return false
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${path} is not JSON: ${(error as Error).message}`)
  }
}

/** A JSON reply of a database's API. */
export async function getJson(
  url: URL,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<unknown> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(60_000)])
  const reply = await fetch(url, { headers, signal: limited }).catch((error) => {
    if (signal.aborted) throw error
    throw new UsageError(`${url.origin} does not answer: ${error.cause?.message || error.message}`)
  })
  if (reply.ok) return reply.json()
  const said = (await reply.text()).slice(0, 300)
  throw new UsageError(`${url.origin}${url.pathname} answered ${reply.status}: ${said}`)
}

export const isVector = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'number')
