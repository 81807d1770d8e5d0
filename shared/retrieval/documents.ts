import type { Caller } from '../admission.ts'
import type { Index } from './indexes.ts'

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

export interface Document {
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
  /** All are checked and embedded before any is written; each one is then replaced as a whole. */
  put(
    index: Index,
    documents: readonly DocumentInput[],
    call: WriteCall,
  ): Promise<{ id: string; chunks: number; unchanged: boolean }[]>
  /** 404 `document_not_found`. */
  get(index: Index, id: string): Promise<Document>
  list(index: Index, page: { after?: string; limit: number }): Promise<{ ids: string[]; next?: string }>
  /** Whether it was there. Searches miss it at once; its parts are removed in the background. */
  delete(index: Index, id: string, call: WriteCall): Promise<boolean>
  /**
   * Chunks of the refs in one wave; undefined for a ref whose version counts no longer.
   */
  read(
    index: Index,
    refs: readonly { documentId: string; version: number; n: number }[],
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<(StoredChunk | undefined)[]>
}
