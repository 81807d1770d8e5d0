import type { FieldType } from '../filters.ts'
import type { Metric, VectorIndex } from '../ports/vectors.ts'

/** What `PUT /v1/indexes/{index}` takes. */
export interface IndexSettings {
  fields: Record<string, FieldType>
  /** The embedding model's own where absent. */
  dimensions?: number
  metric?: Metric
  /** `provider/model`; null for an index whose vectors come with its documents. The hub's default where absent. */
  embedding_model?: string | null
  hot_tag?: string
  quantization?: 'none' | 'int8'
  /** Of a chunk: characters, and how many of them two neighbours share. */
  chunking?: { size: number; overlap: number }
}

/** An index of a tenant, as it was made. */
export interface Index {
  /** What the vectors port sees; its `name` is the index's own, also where it was asked for by an alias. */
  vectors: VectorIndex
  embeddingModel: string | null
  chunking: { size: number; overlap: number }
  /** Unix ms. */
  createdAt: number
}

export interface Indexes {
  /** By name or alias; remembered for a second, so it mostly asks nobody. 404 `index_not_found`. */
  resolve(tenant: string, nameOrAlias: string): Promise<Index>
  /** Makes it, or returns what is there where the settings are the same; 409 `index_exists` where they differ. */
  put(tenant: string, name: string, settings: IndexSettings): Promise<{ index: Index; created: boolean }>
  list(tenant: string): Promise<{ indexes: Index[]; aliases: Record<string, string> }>
  /** Leads readers and writers of `alias` to `index` from now on. */
  setAlias(tenant: string, alias: string, index: string): Promise<void>
  deleteAlias(tenant: string, alias: string): Promise<void>
  /** It is gone at once; what it held is removed in the background, by whoever sweeps. */
  delete(tenant: string, name: string): Promise<void>
}
