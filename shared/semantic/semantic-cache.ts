import { hash } from 'node:crypto'
import type { Caller } from '../admission.ts'
import { type CompletionEntry, decodeEntry } from '../completions/completion-entry.ts'
import type { Embeddings } from '../embeddings/embeddings.ts'
import { completionKeys, QUESTIONS_KEY } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { EmbeddingTarget } from '../ports/embedder.ts'
import type { Redis } from '../ports/redis.ts'
import type { ChunkRef, VectorIndex, VectorKeys, Vectors } from '../ports/vectors.ts'
import { claimDueScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import { type GuardOptions, judge } from './guard.ts'
import type { SemanticQuestion } from './semantic-question.ts'

export interface SemanticCacheOptions {
  embeddings: Embeddings
  vectors: Vectors
  keys: Pick<VectorKeys, 'chunk'>
  redis: Redis
  cacheRedis: Redis
  /** What a caller's own threshold is raised to. */
  minSimilarity: number
  guard: GuardOptions
  clock: Clock
  onFailure(error: unknown): void
}

export interface SemanticLook {
  question: SemanticQuestion
  caller: Caller
  /** The caller's own threshold. */
  similarity: number
  /** Whether an entry may be served: not too old, not stale. */
  accepts(entry: CompletionEntry): boolean
  /** Decides where the guard cannot; nobody does where it is absent. */
  ask?(first: string, second: string): Promise<boolean>
  defer(work: Promise<unknown>): void
}

interface SweepOptions {
  /** Unix ms. */
  untilMs: number
  limit: number
  signal?: AbortSignal
}

/** A question that the vector store holds. */
interface Known {
  index: VectorIndex
  /** Of its answer. */
  id: string
}

interface Place {
  index: VectorIndex
  vector: Float32Array
}

export interface Near {
  entry: CompletionEntry
  similarity: number
}

/** Questions that are looked at, nearest first; of those that the guard is unsure of, so many are put to the judge. */
const CANDIDATES = 10
const JUDGED = 2
/** What all of it may take, the provider of embeddings included; after it the call goes on as a miss. */
const PATIENCE_MS = 1_500
/** Nobody waits for it. */
const ADD_PATIENCE_MS = 15_000
const PROMPT_FIELD = 'prompt'
/** Expired questions that one sweeper takes, and for how long nobody else does. */
const SWEPT_AT_ONCE = 50
const SWEEP_LEASE_MS = 60_000

/**
 * Stored answers by what was asked. A candidate has the same scope and is similar enough, and the guard compares numbers,
 * units, negation, named things and direction. Nothing here may stop a completion: every failure is a miss.
 */
export function createSemanticCache(options: SemanticCacheOptions) {
  const { embeddings, vectors, keys, redis, cacheRedis, minSimilarity, guard, clock, onFailure } = options
  const created = new Set<string>()
  /** A question that is looked for and then remembered is embedded once. */
  const placed = new WeakMap<SemanticQuestion, Place>()

  return {
    sweep,

    async find(look: SemanticLook): Promise<Near | undefined> {
      try {
        return await nearest(look, AbortSignal.timeout(PATIENCE_MS))
      } catch (error) {
        created.clear() // an index may have been erased with its tenant
        onFailure(error)
        return undefined
      }
    },

    /** Remembers that the entry of `hash` answers the question. */
    async add(
      question: SemanticQuestion,
      answer: { hash: string; until: number },
      caller: Caller,
      defer: SemanticLook['defer'],
    ) {
      try {
        const signal = AbortSignal.timeout(ADD_PATIENCE_MS)
        const { index, vector } = await place(question, caller, defer, signal)
        const chunk = {
          ...{ documentId: answer.hash, version: 0, n: 0, vector, text: '' },
          fields: { scope: question.scope },
          hash: { [PROMPT_FIELD]: question.prompt },
        }
        const known: Known = { index, id: answer.hash }
        await send(redis, ['ZADD', QUESTIONS_KEY, answer.until, JSON.stringify(known)])
        await vectors.put(index, [chunk], { signal })
      } catch (error) {
        created.clear()
        onFailure(error)
      }
    },
  }

  /** Forgets questions whose answers have expired. */
  async function sweep({ untilMs, limit, signal }: SweepOptions): Promise<void> {
    for (let done = 0; done < limit && clock.now() < untilMs; ) {
      signal?.throwIfAborted()
      const claim = {
        script: claimDueScript,
        keys: [QUESTIONS_KEY],
        args: [SWEPT_AT_ONCE, SWEEP_LEASE_MS],
      }
      const due = (await send(redis, claim)) as string[]
      if (due.length === 0) return
      for (const text of due) {
        const { index, id }: Known = JSON.parse(text)
        await vectors.remove(index, [{ documentId: id, version: 0, n: 0 }], { signal })
      }
      await send(redis, ['ZREM', QUESTIONS_KEY, ...due])
      done += due.length
    }
  }

  async function nearest(look: SemanticLook, signal: AbortSignal): Promise<Near | undefined> {
    const { question, caller, defer } = look
    const { tenant } = caller
    const { index, vector } = await place(question, caller, defer, signal)
    const { vector: hits = [] } = await vectors.search(index, {
      vector,
      limit: CANDIDATES,
      filter: { type: 'eq', key: 'scope', value: question.scope },
      timeoutMs: PATIENCE_MS,
      signal,
    })
    const near = hits.filter(({ score }) => score >= Math.max(minSimilarity, look.similarity))
    if (near.length === 0) return undefined
    const prompts = await redis.wave(
      near.map((hit) => ['HGET', keys.chunk(index, hit), PROMPT_FIELD] as const),
      { signal },
    )
    let judged = 0
    for (const [i, hit] of near.entries()) {
      const prompt = prompts[i]
      if (typeof prompt !== 'string') continue
      const verdict = judge(prompt, question.prompt, guard)
      if (verdict === 'different') continue
      if (verdict === 'unsure' && (!look.ask || judged++ >= JUDGED)) continue
      const [stored] = await cacheRedis.wave([['GET', completionKeys(tenant, hit.documentId).entry]], {
        signal,
      })
      if (stored === null) defer(forget(index, hit))
      const entry = typeof stored === 'string' ? decodeEntry(stored) : undefined
      if (!entry || !look.accepts(entry)) continue
      if (verdict === 'same' || (await look.ask!(prompt, question.prompt)))
        return { entry, similarity: hit.score }
    }
    return undefined
  }

  /** Where a question lies. */
  async function place(
    question: SemanticQuestion,
    caller: Caller,
    defer: SemanticLook['defer'],
    signal: AbortSignal,
  ): Promise<Place> {
    const known = placed.get(question)
    if (known) return known
    const target = embeddings.resolve()
    const model = `${target.provider}/${target.model}`
    const text = { texts: [question.prompt], purpose: 'query' as const }
    const embedded = await embeddings.embed({ caller, model, isGiven: true, ...text, signal, defer })
    const vector = embedded.vectors[0]!
    const index = indexOf(caller.tenant, target, vector.length)
    const name = `${index.tenant} ${index.name}`
    if (!created.has(name)) {
      await vectors.create(index, { signal })
      created.add(name)
    }
    const found = { index, vector }
    placed.set(question, found)
    return found
  }

  async function forget(index: VectorIndex, chunk: ChunkRef) {
    await vectors.remove(index, [chunk]).catch(onFailure)
  }
}

export type SemanticCache = ReturnType<typeof createSemanticCache>

/** Vectors of two models do not compare. No index of a caller's has such a name. */
function indexOf(
  tenant: string,
  { provider, model, scope }: EmbeddingTarget,
  dimensions: number,
): VectorIndex {
  const fingerprint = hash('sha256', `${provider}/${model}\n${scope}\n${dimensions}`).slice(0, 12)
  return {
    ...{ tenant, name: `~semantic-${fingerprint}`, dimensions, metric: 'cosine', partitions: 1 },
    fields: { scope: 'tag' },
    quantization: 'none',
  }
}
