import { HubError } from '../../errors.ts'
import { newId } from '../../ids.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Admittance, MemoryCall, NewMemory } from './memory.ts'
import { covers, type StoredMemory } from './memory-entry.ts'
import { compareWithRecalled, readNewMemory, saysSame, toSentences } from './memory-gate.ts'
import type { MemoryIndex } from './memory-index.ts'
import { type MemoryStore, MOST_MEMORIES, type Owner, type Space } from './memory-store.ts'
import type { MemoryUpkeep } from './memory-upkeep.ts'

export interface RememberOptions {
  store: MemoryStore
  index: MemoryIndex
  upkeep: MemoryUpkeep
  clock: Clock
}

/** Nearest memories that are compared word by word, and how near they are: the farthest paraphrase was at 0.75. */
const CANDIDATES = 10
const LEAST_SIMILARITY = 0.7
/** Of what was recalled, where the new text has no word of its own. */
const REPEATED_SIMILARITY = 0.95
/** Times that what was seen may change before it is written. */
const ATTEMPTS = 5

/**
 * The admission gate. In this order: the text itself; the operation, which may have stored it already; an equal text; what was recalled; what
 * says the same; else it is stored. Redis decides at the end whether all that still holds.
 *
 * A process that dies leaves a memory without its vector: the same operation again, or a sweeper a minute later, adds it.
 */
export function createRemember({ store, index, upkeep, clock }: RememberOptions) {
  return async function remember(owner: Owner, asked: NewMemory, call: MemoryCall): Promise<Admittance> {
    const read = readNewMemory(asked)
    if (typeof read === 'string') return { status: 'refused', why: read }
    const memory: StoredMemory = { ...read, id: toId(clock.now()), created: clock.now() }
    const { known, taken, space: held } = await store.look(owner, memory)
    if (known) return repeat(known, held!)
    const equal = taken === undefined ? undefined : await equalTo(taken)
    if (equal) return equal

    const sentences = toSentences(asked.recalled ?? []).map((text) => ({
      text,
      is: compareWithRecalled(memory.text, text),
    }))
    if (sentences.some(({ is }) => is === 'repeats')) return onlyRepeats()
    const near = sentences.flatMap(({ text, is }) => (is === 'near' ? [text] : []))
    const embedded = await index.embed(held, [memory.text, ...near], 'document', call)
    const { space } = embedded
    const [vector, ...others] = embedded.vectors as [Float32Array, ...Float32Array[]]
    if (others.some((other) => cosine(vector, other) >= REPEATED_SIMILARITY)) return onlyRepeats()
    const same = held && (await nearestThatSaysSame(held, vector))
    if (same) return same

    const duty = { of: 'written' as const, ...owner, space, id: memory.id }
    await upkeep.due(duty)
    const admittance = await admit(space, vector, taken)
    await upkeep.done(duty)
    // Another process began the agent's memory with another model meanwhile.
    return admittance ?? remember(owner, asked, call)

    async function admit(
      space: Space,
      vector: Float32Array,
      taken?: string,
    ): Promise<Admittance | undefined> {
      let seen = taken
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const admitted = await store.admit(owner, memory, space, seen)
        switch (admitted.outcome) {
          case 'stored':
            await upkeep.index(owner, space, memory, call, vector)
            return { status: 'stored', id: memory.id }
          case 'known':
            return repeat(admitted.id, space)
          case 'taken': {
            const equal = await equalTo(admitted.id)
            if (equal) return equal
            seen = admitted.id
            break
          }
          case 'full':
            await makeRoom(space, admitted.id)
            break
          case 'space':
            return undefined
          case 'deleted':
            throw deleted(owner.agent)
        }
      }
      throw busy()
    }

    /** The same operation: it is finished, if the first one was not. */
    async function repeat(id: string, space: Space): Promise<Admittance> {
      const [stored] = await store.read(owner, [id])
      if (stored && stored.hash !== memory.hash) throw mismatch()
      if (stored) await upkeep.index(owner, space, stored, call)
      return { status: 'stored', id }
    }

    /** Undefined where the text is that of a memory which does not count any more, or not for so long. */
    async function equalTo(id: string): Promise<Admittance | undefined> {
      const [other] = await store.read(owner, [id])
      return other && counts(other) ? { status: 'duplicate', id, similarity: 1 } : undefined
    }

    async function nearestThatSaysSame(space: Space, vector: Float32Array): Promise<Admittance | undefined> {
      const hits = await index.nearest(owner, space, { vector, limit: CANDIDATES, signal: call.signal })
      const near = hits.filter(({ score }) => score >= LEAST_SIMILARITY)
      const others = await store.read(
        owner,
        near.map(({ id }) => id),
      )
      const at = others.findIndex((other) => other && counts(other) && saysSame(other.text, memory.text))
      return at < 0 ? undefined : { status: 'duplicate', id: near[at]!.id, similarity: near[at]!.score }
    }

    function counts(other: StoredMemory): boolean {
      return other.forgotten === undefined && covers(other, memory, clock.now())
    }

    /** What was forgotten and is the oldest gives way. */
    async function makeRoom(space: Space, id: string) {
      if (id === '') throw full(owner.agent)
      const [oldest] = await store.read(owner, [id])
      // Its vector is removed by whoever sweeps what was forgotten, if not now.
      if (oldest && (await store.purge(owner, oldest, Number.MAX_SAFE_INTEGER)))
        call.defer(index.remove(owner, space, [id]))
    }
  }
}

/** Ids rise with time: `mem_`, 12 digits of milliseconds, and what no other one has. */
const toId = (now: number) => `mem_${now.toString(16).padStart(12, '0')}${newId()}`

const onlyRepeats = (): Admittance => ({
  status: 'refused',
  why: 'It only repeats what was recalled: that is remembered already.',
})

function cosine(a: Float32Array, b: Float32Array): number {
  let [product, squareA, squareB] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    product += a[i]! * b[i]!
    squareA += a[i]! ** 2
    squareB += b[i]! ** 2
  }
  return product / Math.sqrt(squareA * squareB)
}

const full = (agent: string) =>
  new HubError({
    code: 'memory_full',
    status: 413,
    message: `The agent ${agent} has ${MOST_MEMORIES} memories, which is the most. Forget some: DELETE /v1/agents/{id}/memory/{memory}. Forgotten ones give way at once.`,
  })

const deleted = (agent: string) =>
  new HubError({
    code: 'agent_not_found',
    status: 404,
    message: `The agent \`${agent}\` was deleted.`,
    param: 'id',
  })

const mismatch = () =>
  new HubError({
    code: 'idempotency_mismatch',
    status: 422,
    message: 'This operation stored another text before. Send the same text, or another Idempotency-Key.',
  })

const busy = () =>
  new HubError({
    code: 'memory_busy',
    status: 409,
    message: 'Others write to this memory at the same time. Try again soon.',
    retryAfterSeconds: 1,
  })
