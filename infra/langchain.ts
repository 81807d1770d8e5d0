import type { Callbacks } from '@langchain/core/callbacks/manager'
import { Document, type DocumentInterface } from '@langchain/core/documents'
import type { EmbeddingsInterface } from '@langchain/core/embeddings'
import { VectorStore } from '@langchain/core/vectorstores'
import { createHubClient } from './client/client.ts'

/** OpenAI's filter objects. */
export type HubFilter =
  | { type: 'eq' | 'ne' | 'gt' | 'gte' | 'lt' | 'lte'; key: string; value: string | number | boolean }
  | { type: 'in' | 'nin'; key: string; value: (string | number)[] }
  | { type: 'and' | 'or'; filters: HubFilter[] }

export interface HubVectorStoreOptions {
  /** Of the hub, such as `http://127.0.0.1:8787`. */
  url: string
  /** A hub key with the scope `search`; none in local mode. */
  key?: string
  /** Made before by `PUT /v1/indexes/{index}`, with the fields that filters may name. */
  index: string
  /** How texts are searched for; `hybrid` by default: by vectors and by words. */
  mode?: 'hybrid' | 'vector' | 'text'
  /** Makes the vectors in place of the hub; then the index is one without an embedding model of its own. */
  embeddings?: EmbeddingsInterface
}

/** Documents of one write. */
const BATCH = 200

/**
 * An index of the hub as LangChain's vector store: the hub embeds, splits, stores and searches. Errors are the hub's, with its
 * `status` and `code`.
 *
 * @example const store = new HubVectorStore({ url: 'http://127.0.0.1:8787', key, index: 'docs' }); const retriever = store.asRetriever({ k: 4 })
 */
export class HubVectorStore extends VectorStore {
  declare FilterType: HubFilter
  readonly #hub
  readonly #index
  readonly #mode
  readonly #own

  constructor({ url, key, index, mode, embeddings }: HubVectorStoreOptions) {
    super(embeddings ?? hubEmbeds, {})
    this.#hub = createHubClient({ baseUrl: url, key })
    this.#index = index
    this.#mode = mode
    this.#own = embeddings
  }

  _vectorstoreType(): string {
    return 'redis-ai-hub'
  }

  /** A document of an id that is there replaces it. Returns the ids. */
  async addDocuments(documents: DocumentInterface[], options?: { ids?: string[] }): Promise<string[]> {
    const vectors = await this.#own?.embedDocuments(documents.map(({ pageContent }) => pageContent))
    return this.#write(documents, vectors, options)
  }

  async addVectors(
    vectors: number[][],
    documents: DocumentInterface[],
    options?: { ids?: string[] },
  ): Promise<string[]> {
    return this.#write(documents, vectors, options)
  }

  override async similaritySearch(query: string, k = 4, filter?: HubFilter, callbacks?: Callbacks) {
    const found = await this.similaritySearchWithScore(query, k, filter, callbacks)
    return found.map(([document]) => document)
  }

  /** The best first. A score is similarity in `vector` mode, and from 0 to 1 in `hybrid` mode. */
  override async similaritySearchWithScore(
    query: string,
    k = 4,
    filter?: HubFilter,
    _callbacks?: Callbacks,
  ): Promise<[Document, number][]> {
    const vector = await this.#own?.embedQuery(query)
    return this.#search({ query, vector, mode: this.#mode, top_k: k, filter })
  }

  similaritySearchVectorWithScore(
    vector: number[],
    k: number,
    filter?: HubFilter,
  ): Promise<[Document, number][]> {
    return this.#search({ vector, mode: 'vector', top_k: k, filter })
  }

  /** By their ids, or all whose metadata passes the filter. */
  override async delete({ ids, filter }: { ids?: string[]; filter?: HubFilter }): Promise<void> {
    const index = this.#index
    for (const id of ids ?? []) {
      await this.#hub
        .call('DELETE /v1/indexes/{index}/documents/{id}', { path: { index, id } })
        .catch((error) => {
          if (error.code !== 'document_not_found') throw error
        })
    }
    if (filter) {
      await this.#hub.call('POST /v1/indexes/{index}/documents/delete', { path: { index }, body: { filter } })
    }
  }

  async #write(
    documents: DocumentInterface[],
    vectors: number[][] | undefined,
    { ids = [] }: { ids?: string[] } = {},
  ): Promise<string[]> {
    const all = documents.map(({ id, pageContent, metadata }, i) => ({
      id: ids[i] ?? id ?? crypto.randomUUID(),
      ...{ text: pageContent, metadata, vector: vectors?.[i] },
    }))
    for (let from = 0; from < all.length; from += BATCH) {
      await this.#hub.call('POST /v1/indexes/{index}/documents', {
        path: { index: this.#index },
        body: all.slice(from, from + BATCH),
        idempotent: true, // documents are known by their ids
      })
    }
    return all.map(({ id }) => id)
  }

  async #search(body: {
    query?: string
    vector?: number[]
    mode?: HubVectorStoreOptions['mode']
    top_k: number
    filter?: HubFilter
  }): Promise<[Document, number][]> {
    const { results } = await this.#hub.call('POST /v1/indexes/{index}/search', {
      path: { index: this.#index },
      body,
      idempotent: true,
    })
    return results.map(({ document_id: id, text, score, metadata }) => [
      new Document({ id, pageContent: text, metadata }),
      score,
    ])
  }
}

const refuse = async () => {
  throw new Error('The hub embeds: search by text, or give the store `embeddings`.')
}
const hubEmbeds: EmbeddingsInterface = { embedDocuments: refuse, embedQuery: refuse }
