import { hash } from 'node:crypto'
import type { Embeddings } from '../../embeddings/embeddings.ts'
import { HubError } from '../../errors.ts'
import type { Hit, VectorIndex, Vectors } from '../../ports/vectors.ts'
import { toVector } from '../../retrieval/query-vector.ts'
import type { MemoryCall } from './memory.ts'
import type { Owner, Space } from './memory-store.ts'

/** Of one call to the vector store. */
const TIMEOUT_MS = 5_000

/**
 * Vectors of memories: one index a tenant and embedding model, with the agent as its hot tag. An index each would suit vector sets better
 * (3.2 KB a memory in place of 6.1, a put of 0.4 ms in place of 3.2), but RediSearch takes 2 MB for an index however small, and Upstash
 * sells namespaces by number. Without the hot tag a recall sends all vectors of the agent, or walks by those of others.
 */
export function createMemoryIndex({ vectors, embeddings }: { vectors: Vectors; embeddings: Embeddings }) {
  const created = new Set<string>()

  return {
    /** In the agent's space, or where it has none yet in that of the hub's embedding model. */
    async embed(
      space: Space | undefined,
      texts: readonly string[],
      purpose: 'document' | 'query',
      { caller, signal, defer }: MemoryCall,
    ): Promise<{ space: Space; vectors: Float32Array[] }> {
      const model = space?.model ?? nameOf(embeddings.resolve())
      const embedded = await embeddings.embed({ caller, model, isGiven: true, texts, purpose, signal, defer })
      const dimensions = embedded.vectors[0]!.length
      if (space && space.dimensions !== dimensions) throw modelChanged(space, dimensions)
      return {
        space: { model, dimensions },
        vectors: embedded.vectors.map((one) => toVector(one, dimensions)),
      }
    },

    async put(owner: Owner, space: Space, id: string, vector: Float32Array, signal?: AbortSignal) {
      const chunk = { ...refOf(id), vector, text: '', fields: { agent: owner.agent }, hash: {} }
      await within(owner, space, (index) => vectors.put(index, [chunk], { timeoutMs: TIMEOUT_MS, signal }))
    },

    async remove(owner: Owner, space: Space, ids: readonly string[], signal?: AbortSignal) {
      await within(owner, space, (index) =>
        vectors.remove(index, ids.map(refOf), { timeoutMs: 6 * TIMEOUT_MS, signal }),
      )
    },

    /** Nearest of the agent, best first: ids and similarities. */
    async nearest(
      owner: Owner,
      space: Space,
      { vector, limit, signal }: { vector: Float32Array; limit: number; signal: AbortSignal },
    ): Promise<{ id: string; score: number }[]> {
      const { vector: hits = [] } = await within(owner, space, (index) =>
        vectors.search(index, {
          ...{ vector, limit, timeoutMs: TIMEOUT_MS, signal },
          filter: { type: 'eq', key: 'agent', value: owner.agent },
        }),
      )
      return hits.map(({ documentId, score }: Hit) => ({ id: documentId, score }))
    },

    /** Of each id; null where there is no vector of it. */
    async similarity(
      owner: Owner,
      space: Space,
      vector: Float32Array,
      { ids, signal }: { ids: readonly string[]; signal: AbortSignal },
    ): Promise<(number | null)[]> {
      return within(owner, space, (index) =>
        vectors.similarity(index, vector, ids.map(refOf), { timeoutMs: TIMEOUT_MS, signal }),
      )
    },
  }

  /** A process makes sure once that the store has it; and again where it was erased with all of its tenant. */
  async function within<T>(
    { tenant }: Owner,
    space: Space,
    work: (index: VectorIndex) => Promise<T>,
  ): Promise<T> {
    const index = toIndex(tenant, space)
    const name = `${tenant} ${index.name}`
    for (;;) {
      const isKnown = created.has(name)
      if (!isKnown) await vectors.create(index, { timeoutMs: TIMEOUT_MS })
      created.add(name)
      try {
        return await work(index)
      } catch (error) {
        if (!isKnown || !(error instanceof HubError) || error.code !== 'index_not_found') throw error
        created.delete(name)
      }
    }
  }
}

export type MemoryIndex = ReturnType<typeof createMemoryIndex>

const refOf = (id: string) => ({ documentId: id, version: 0, n: 0 })

const nameOf = ({ provider, model }: { provider: string; model: string }) => `${provider}/${model}`

/** No index of a caller's has such a name. */
function toIndex(tenant: string, { model, dimensions }: Space): VectorIndex {
  const fingerprint = hash('sha256', `${model}\n${dimensions}`).slice(0, 12)
  return {
    ...{ tenant, name: `~memory-${fingerprint}`, dimensions, metric: 'cosine', partitions: 1 },
    ...{ fields: { agent: 'tag' }, hotTag: 'agent', quantization: 'none' },
  }
}

const modelChanged = ({ model, dimensions }: Space, now: number) =>
  new HubError({
    code: 'embedding_model_changed',
    status: 409,
    message: `The agent's memory was embedded by ${model} with ${dimensions} dimensions, and that model gives ${now} now. Bring the earlier model back, or make the agent anew.`,
  })
