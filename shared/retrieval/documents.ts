import type { Caller } from '../admission.ts'
import type { Embeddings } from '../embeddings/embeddings.ts'
import { HubError } from '../errors.ts'
import { checkFilter, type Filter, matches } from '../filters.ts'
import { newId } from '../ids.ts'
import { vectorKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import type { Vectors } from '../ports/vectors.ts'
import { send } from '../send.ts'
import { dropCitedBy } from './cited-by.ts'
import { fieldsOf } from './document-input.ts'
import { bury, idsKey, look, must, pageOf, seen } from './document-state.ts'
import type { DocumentEntry, DocumentSweeps } from './document-sweeps.ts'
import { createDocumentWriter } from './document-writer.ts'
import type { Index } from './indexes.ts'
import { documentEntry, sweepCall } from './sweep-entry.ts'

export type Metadata = Record<string, unknown>

/** A document as it is written, already turned into text. */
export interface DocumentInput {
  /** 1 to 512 characters; a random one where absent. */
  id?: string
  text: string
  /** Of the whole document, in one chunk; else its chunks are embedded by the index's model. */
  vector?: readonly number[]
  metadata?: Metadata
}

interface Document {
  id: string
  text: string
  metadata: Metadata
  /** How many. */
  chunks: number
  version: number
}

/** A chunk that a search found, of the version that counts. */
export interface StoredChunk {
  documentId: string
  version: number
  n: number
  text: string
  /** UTF-16 offsets in the document's text. */
  start: number
  end: number
  metadata: Metadata
}

export interface WriteCall {
  caller: Caller
  signal: AbortSignal
  defer(work: Promise<unknown>): void
}

export interface Documents {
  /**
   * All are checked and embedded before any is written; each one is then replaced as a whole, and a write that was overtaken
   * by a later one or a delete is as if it had come before it. What did not change is neither embedded nor written. After a
   * failure some may be written and others not, none in part: the same call again writes the rest.
   *
   * Errors: 400 with the path (`documents[3].metadata.year`), 413 `text_too_large`, 404 where the index was deleted meanwhile,
   * 503, those of `Embeddings`.
   */
  put(
    index: Index,
    documents: readonly DocumentInput[],
    call: WriteCall,
  ): Promise<{ id: string; chunks: number; unchanged: boolean }[]>
  /** 404 `document_not_found`. */
  get(index: Index, id: string): Promise<Document>
  /** In the order of their ids. A page may be shorter than `limit`; the last one has no `next`. */
  list(index: Index, page: { after?: string; limit: number }): Promise<{ ids: string[]; next?: string }>
  /** About how many: those that are being written or removed count. */
  count(index: Index): Promise<number>
  /** Whether it was there. Searches miss it at once; its parts are removed in the background. */
  delete(index: Index, id: string, call: WriteCall): Promise<boolean>
  /** Deletes every document whose metadata passes, and says how many. Reads them all, page by page. 400 as `checkFilter`. */
  deleteWhere(index: Index, filter: Filter, call: WriteCall): Promise<number>
  /** Writes a page of one index's documents, text and metadata, into another one. Call it again with `next` until there is none. */
  copy(
    from: Index,
    to: Index,
    page: { after?: string; limit: number },
    call: WriteCall,
  ): Promise<{ copied: number; unchanged: number; next?: string }>
  /**
   * Chunks of the refs in one wave; undefined for a ref whose version counts no longer.
   */
  read(
    index: Index,
    refs: readonly { documentId: string; version: number; n: number }[],
    options: { timeoutMs: number; signal?: AbortSignal; stale?: boolean },
  ): Promise<(StoredChunk | undefined)[]>
}

export interface DocumentsOptions {
  redis: Redis
  cacheRedis: Redis
  vectors: Vectors
  embeddings: Embeddings
  documentSweeps: DocumentSweeps
  clock: Clock
}

const TIMEOUT_MS = 5_000
/** A tombstone that is not set by then was never set. */
const DELETED_BY_MS = 60_000
const SCAN_PAGE = 200
/** Of a page to copy: read and written together. */
const COPIED_CHARACTERS = 4_000_000

/** Documents of all indexes. A document is a hash, its chunks are the store's; `document-state.ts` says what it holds. */
export function createDocuments(options: DocumentsOptions): Documents {
  const { redis, cacheRedis, documentSweeps, clock } = options
  const put = createDocumentWriter(options)
  const wave = async (calls: Parameters<Redis['wave']>[0], signal?: AbortSignal) =>
    must(await redis.wave(calls, { timeoutMs: TIMEOUT_MS, signal }))

  /** Ids of those that were there, in the version that is meant. */
  async function remove(
    index: Index,
    targets: { id: string; version?: number }[],
    { signal, defer }: WriteCall,
  ) {
    if (targets.length === 0) return []
    const dueAt = clock.now() + DELETED_BY_MS
    const entries = targets.map(({ id }) => documentEntry(index, { id, nonce: newId() }) as DocumentEntry)
    const outcomes = await wave(
      [
        ...entries.map((entry) => sweepCall(entry, dueAt)),
        ...targets.map(({ id, version }) => bury(index, id, version)),
      ],
      signal,
    )
    const removed = entries.filter((_, i) => outcomes[entries.length + i] === 1)
    const ids = removed.map(({ id }) => id)
    if (ids.length) await dropCitedBy({ redis, cacheRedis }, index.vectors, ids, { timeoutMs: TIMEOUT_MS })
    // What fails here, the sweeper does when the entry is due.
    defer(documentSweeps.visit(index, entries, { served: true }).catch(() => {}))
    return ids
  }

  async function page(index: Index, after: string | undefined, limit: number, ...fields: string[]) {
    const ids = (await send(redis, pageOf(index, after, limit + 1), { timeoutMs: TIMEOUT_MS })) as string[]
    const next = ids.length > limit ? ids[limit - 1] : undefined
    const some = ids.slice(0, limit)
    const replies = some.length ? await wave(some.map((id) => look(index, id, ...fields))) : []
    const found = some.flatMap((id, i) => {
      const document = seen(index, replies[i])
      return document ? [{ id, ...document }] : []
    })
    return { found, next }
  }

  async function find(index: Index, id: string): Promise<Document | undefined> {
    const [reply] = await wave([look(index, id, 'text', 'metadata', 'chunks')])
    const document = seen(index, reply)
    if (!document) return undefined
    const [text, metadata, chunks] = document.fields as [string, string, string]
    return { id, text, metadata: JSON.parse(metadata), chunks: Number(chunks), version: document.version }
  }

  return {
    put,

    async get(index, id) {
      const document = await find(index, id)
      if (document) return document
      const message = `There is no document \`${id}\` in the index \`${index.vectors.name}\`.`
      throw new HubError({ code: 'document_not_found', status: 404, message, param: 'id' })
    },

    async list(index, { after, limit }) {
      const { found, next } = await page(index, after, limit)
      return { ids: found.map(({ id }) => id), next }
    },

    async count(index) {
      return (await send(redis, ['ZCARD', idsKey(index)], { timeoutMs: TIMEOUT_MS })) as number
    },

    async delete(index, id, call) {
      return (await remove(index, [{ id }], call)).length === 1
    },

    async deleteWhere(index, filter, call) {
      const { fields } = index.vectors
      checkFilter(filter, fields)
      let deleted = 0
      let after: string | undefined
      let isOver = false
      while (!isOver) {
        call.signal.throwIfAborted()
        const { found, next } = await page(index, after, SCAN_PAGE, 'metadata')
        const passing = found.filter((one) => matches(filter, fieldsOf(JSON.parse(one.fields[0]!), fields)))
        const removed = await remove(index, passing, call)
        deleted += removed.length
        // A page of which one was replaced in between is looked at again.
        if (removed.length < passing.length) continue
        after = next
        isOver = next === undefined
      }
      return deleted
    },

    async copy(from, to, { after, limit }, call) {
      const { found, next } = await page(from, after, limit)
      let last = after
      let characters = 0
      const batch: DocumentInput[] = []
      for (const { id } of found) {
        const document = await find(from, id)
        last = id
        if (!document) continue
        batch.push({ id, text: document.text, metadata: document.metadata })
        characters += document.text.length
        if (characters > COPIED_CHARACTERS) break
      }
      const written = batch.length ? await put(to, batch, call) : []
      const unchanged = written.filter((one) => one.unchanged).length
      const isWhole = found.length === 0 || last === found.at(-1)!.id
      return { copied: written.length, unchanged, next: isWhole ? next : last }
    },

    async read(index, refs, options) {
      const ids = [...new Set(refs.map(({ documentId }) => documentId))]
      const replies = must(
        await redis.wave(
          [
            ...refs.map(
              (ref) => ['HMGET', vectorKeys.chunk(index.vectors, ref), 'content', '_start', '_end'] as const,
            ),
            ...ids.map((id) => look(index, id, 'metadata')),
          ],
          options,
        ),
      )
      const documents = new Map(ids.map((id, i) => [id, seen(index, replies[refs.length + i])]))
      return refs.map(({ documentId, version, n }, i) => {
        const document = documents.get(documentId)
        const [text, start, end] = replies[i] as (string | null)[]
        if (document?.version !== version || text === null || text === undefined) return undefined
        const metadata = JSON.parse(document.fields[0]!)
        return { documentId, version, n, text, start: Number(start), end: Number(end), metadata }
      })
    },
  }
}
