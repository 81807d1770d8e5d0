import type { FieldType, FieldValue, Filter } from '../filters.ts'

export type Metric = 'cosine' | 'euclidean' | 'dot_product'

/** An index as a store sees it: fixed when it is made. */
export interface VectorIndex {
  tenant: string
  name: string
  /** Length of every vector. */
  dimensions: number
  metric: Metric
  /** What can be filtered by and, besides the chunks' own text, searched. */
  fields: Readonly<Record<string, FieldType>>
  /** A tag whose filters should be as quick as none. */
  hotTag?: string
  /** Over how many keys vectors are spread: 1, on Cluster more. */
  partitions: number
  /** `int8` takes a quarter of the memory and loses some recall. */
  quantization: 'none' | 'int8'
}

/** A part of one version of a document. */
export interface ChunkRef {
  documentId: string
  version: number
  /** From 0. */
  n: number
}

export interface Chunk extends ChunkRef {
  /** `index.dimensions` long, finite, not zero. */
  vector: Float32Array
  text: string
  /** Of the declared fields, those that the document has; of the declared type. */
  fields: Readonly<Record<string, FieldValue>>
  /** Further fields of the chunk's hash, for those who read it: stored as they are. */
  hash: Readonly<Record<string, string>>
}

export interface VectorSearch {
  /** At least one of both. `index.dimensions` long, finite, not zero. */
  vector?: Float32Array
  /** Words, never a query language: what holds any of them, in any form, is found. */
  text?: string
  /** Longest list, 1 to 2,000. */
  limit: number
  /** Already checked against the index's fields. */
  filter?: Filter
  /** Breadth of the approximate search, where the store has one; the driver's own choice by default. */
  effort?: number
  timeoutMs: number
  signal?: AbortSignal
  /** As of the Redis port: a replica may answer. */
  stale?: boolean
}

/** `score` in the list `vector` is similarity: cosine itself (1 the same, -1 the opposite); 1 / (1 + d²) for euclidean
 * distance d; the product for dot_product. In the list `text` it is BM25's or alike, of meaning within that list only. */
export interface Hit extends ChunkRef {
  score: number
}

/** One step of how a search was done: what `explain` tells. */
export interface PlanStep {
  side: 'vector' | 'text'
  /** E.g. `knn`, `hot-tag`, `filter`, `scan`, `postings`. */
  name: string
  /** Whether it may miss what it should find; `why` says how. */
  approximate: boolean
  why?: string
  /** As Redis or the store saw them, vectors left out. */
  commands: string[]
  milliseconds: number
}

export interface Found {
  /** Present where a vector was given; best first. */
  vector?: Hit[]
  /** Present where a text was given; best first. */
  text?: Hit[]
  plan: PlanStep[]
}

export interface WriteOptions {
  timeoutMs?: number
  signal?: AbortSignal
  /** Of a read: a replica may answer. */
  stale?: boolean
}

/**
 * The port to vector stores. A store keeps chunks; which version of a document counts is not its business: it returns old
 * versions until they are removed. Chunks lie in Redis hashes `doc:<index>:<id>#<version>.<n>` with the fields `content` (the
 * text), every declared field that the document has, and `Chunk.hash`.
 *
 * Errors: `HubError` 501 `not_supported`, with the reason, for what a store cannot do exactly; 503 `vectors_unavailable`
 * when it does not answer; those of the Redis port.
 */
export interface Vectors {
  /** Undefined until a first call has found out. */
  readonly store: 'redisearch' | 'vectorset' | 'upstash' | undefined
  /**
   * May be repeated. 501 for a metric or quantization that the store lacks. `fresh` says that there are no chunks of it yet; without it
   * a store that has lost the index looks for them, which takes a while after this resolves.
   */
  create(index: VectorIndex, options?: WriteOptions & { fresh?: boolean }): Promise<void>
  /** Removes the index with these chunks, which are all that it has. May be repeated after it broke off. */
  drop(index: VectorIndex, chunks: AsyncIterable<readonly ChunkRef[]>, options?: WriteOptions): Promise<void>
  /**
   * Removes all that it keeps of a tenant besides the tenant's own Redis keys: definitions of indexes, namespaces. Resolves with how
   * many there were. May be repeated.
   */
  forget(tenant: string, options?: WriteOptions): Promise<number>
  /** When it resolves, a search finds them (on Upstash Vector: once indexed). May be repeated. */
  put(index: VectorIndex, chunks: readonly Chunk[], options?: WriteOptions): Promise<void>
  /** What is not there is no error. May be repeated after it broke off. */
  remove(index: VectorIndex, chunks: readonly ChunkRef[], options?: WriteOptions): Promise<void>
  search(index: VectorIndex, search: VectorSearch): Promise<Found>
  /** Similarity of each to `vector`, exactly (up to quantization); null for one that is not there. */
  similarity(
    index: VectorIndex,
    vector: Float32Array,
    chunks: readonly ChunkRef[],
    options?: WriteOptions,
  ): Promise<(number | null)[]>
}

/** Redis keys of a store's structures, as `shared/keys.ts` builds them. */
export interface VectorKeys {
  chunk(index: VectorIndex, chunk: ChunkRef): string
  /** What every chunk's key begins with: the index's part of the keyspace. */
  chunkPrefix(index: VectorIndex): string
  /** The inverse of `chunk`; undefined for what is no chunk's key of this index. */
  readChunk(index: VectorIndex, key: string): ChunkRef | undefined
  /** Vector set of one partition; with `tag`, of one value of the hot tag. */
  vectors(index: VectorIndex, partition: number, tag?: string): string
  /** Sorted set: chunk → BM25's part of a term. */
  postings(index: VectorIndex, partition: number, term: string): string
  /** Hash: chunk → its tags and numbers, as JSON. */
  attributes(index: VectorIndex, partition: number): string
  /** Sorted set, all with score 0: chunks with a value of a tag. One slot a partition. */
  tagged(index: VectorIndex, partition: number, field: string, value: string): string
  /** Sorted set: chunk → its value of a number. One slot a partition. */
  numbered(index: VectorIndex, partition: number, field: string): string
  /** Name of a RediSearch index or of an Upstash Vector namespace: unique in the hub. */
  name(index: VectorIndex): string
  /** What those names of a tenant begin with, and no other tenant's. */
  namePrefix(tenant: string): string
}
