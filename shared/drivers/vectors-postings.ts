import type { Filter } from '../filters.ts'
import type { Command, Redis } from '../ports/redis.ts'
import type { Hit, PlanStep, VectorIndex, VectorKeys, VectorSearch } from '../ports/vectors.ts'
import { termsOf } from '../text/terms.ts'
import { type Calls, explained } from './vectors-calls.ts'
import { refOf } from './vectors-chunk.ts'
import { keepPassing, type Selection, selectBy } from './vectors-selection.ts'

export interface TextSearch extends Pick<VectorSearch, 'limit' | 'filter' | 'timeoutMs' | 'signal'> {
  text: string
}

/** So many of a term are read over all partitions, the best first. Longer lists would stop Redis for others: 40,000 took 44 ms. */
const LONGEST_LIST = 1_000

/** Of a longer query the rarest are searched: the others say little, and each costs a list. */
const MOST_TERMS = 32

/** Where a cut list left too few after the filter, and the filter leaves at most so many: each of them is weighed. */
const MOST_WEIGHED = 5_000

interface Chosen {
  terms: string[]
  dropped: number
}

/**
 * BM25 over the postings of `vectors-inverted.ts`: the lists of all terms in one wave, added up here. What holds any of the
 * terms is found.
 */
export function createTextSearch({ redis, keys }: { redis: Redis; keys: VectorKeys }) {
  return async function searchText(
    index: VectorIndex,
    { text, limit, filter, ...options }: TextSearch,
  ): Promise<{ hits: Hit[]; step: PlanStep }> {
    const { result, step } = await explained(options, async (calls) => {
      const { terms, dropped } = await chooseTerms(index, text, calls)
      const long = Math.max(Math.ceil(LONGEST_LIST / index.partitions), limit)
      const partitions = Array.from({ length: index.partitions }, (_, i) => i)
      const lists = await readLists(index, terms, partitions, long, calls)
      let name = 'postings'
      let cut = lists.some(({ size }) => size > long)
      let scores = partitions.map((partition) => addUp(lists.filter((list) => list.partition === partition)))
      if (filter) {
        const passing = await pass(index, filter, scores, calls)
        const selections =
          cut && sum(passing.map(({ size }) => size)) < limit
            ? await selectBy({ redis, keys }, index, filter, calls)
            : []
        if (selections.length > 0 && sum(selections.map(({ atMost }) => atMost)) <= MOST_WEIGHED) {
          name = 'weigh-filtered'
          cut = false
          scores = await Promise.all(selections.map((selection) => weigh(lists, selection, calls)))
        } else scores = passing
      }
      const why = [
        ...(cut ? [`of each word only the ${long} chunks that it weighs most in were read`] : []),
        ...(dropped ? [`of ${terms.length + dropped} words the ${terms.length} rarest were searched`] : []),
      ].join('; ')
      return { side: 'text', name, why: why || undefined, result: best(scores, limit) }
    })
    return { hits: result.map(([member, score]) => ({ ...refOf(keys, index, member), score })), step }
  }

  async function chooseTerms(index: VectorIndex, text: string, calls: Calls): Promise<Chosen> {
    const terms = [...new Set([...termsOf(text)].map(({ term }) => term))]
    if (terms.length <= MOST_TERMS) return { terms, dropped: 0 }
    const counts = (await calls.ask(
      redis,
      terms.flatMap((term) => cardinalities(index, term)),
    )) as number[]
    const sizes = terms.map((term, i) => ({
      term,
      size: sum(counts.slice(i * index.partitions, (i + 1) * index.partitions)),
    }))
    const known = sizes.filter(({ size }) => size > 0).sort((a, b) => a.size - b.size)
    const chosen = known.slice(0, MOST_TERMS)
    return { terms: chosen.map(({ term }) => term), dropped: known.length - chosen.length }
  }

  function cardinalities(index: VectorIndex, term: string): Command[] {
    return Array.from(
      { length: index.partitions },
      (_, i): Command => ['ZCARD', keys.postings(index, i, term)],
    )
  }

  async function readLists(
    index: VectorIndex,
    terms: readonly string[],
    partitions: readonly number[],
    long: number,
    calls: Calls,
  ): Promise<List[]> {
    if (terms.length === 0) return []
    const lists = terms.flatMap((term) =>
      partitions.map((partition) => ({ term, partition, key: keys.postings(index, partition, term) })),
    )
    const replies = await calls.ask(redis, [
      ...lists.flatMap(({ key }): Command[] => [
        ['ZCARD', key],
        ['ZRANGE', key, 0, long - 1, 'REV', 'WITHSCORES'],
      ]),
      ...partitions.map((partition): Command => ['HLEN', keys.attributes(index, partition)]),
    ])
    const total = sum(replies.slice(2 * lists.length) as number[])
    const sizes = new Map<string, number>()
    for (const [i, { term }] of lists.entries()) {
      sizes.set(term, (sizes.get(term) ?? 0) + (replies[2 * i] as number))
    }
    return lists.map(({ term, ...list }, i) => ({
      ...list,
      size: replies[2 * i] as number,
      rarity: rarity(sizes.get(term)!, total),
      members: replies[2 * i + 1] as string[],
    }))
  }

  function pass(
    index: VectorIndex,
    filter: Filter,
    scores: readonly Scores[],
    calls: Calls,
  ): Promise<Scores[]> {
    const work = scores.map(async (of, partition) => {
      const members = [...of.keys()]
      const kept = await keepPassing({ redis, keys }, index, { filter, partition, members }, calls)
      return new Map(kept.map((member) => [member, of.get(member)!]))
    })
    return Promise.all(work)
  }

  /** Scores of all that the filter leaves, however deep they lie in the lists. */
  async function weigh(lists: readonly List[], selection: Selection, calls: Calls): Promise<Scores> {
    const own = lists.filter(({ partition }) => partition === selection.partition)
    const members = await selection.read(calls)
    if (members.length === 0) return new Map()
    const parts = (await calls.ask(
      redis,
      own.map(({ key }): Command => ['ZMSCORE', key, ...members]),
    )) as (string | null)[][]
    const scores: Scores = new Map()
    for (const [i, { rarity }] of own.entries()) {
      for (const [j, part] of parts[i]!.entries()) {
        if (part !== null) scores.set(members[j]!, (scores.get(members[j]!) ?? 0) + rarity * Number(part))
      }
    }
    return scores
  }
}

/** Member → BM25. */
type Scores = Map<string, number>

/** A term's list in one partition. */
interface List {
  key: string
  partition: number
  size: number
  rarity: number
  /** Members and scores in turn. */
  members: string[]
}

/** BM25's inverse document frequency, as Lucene has it: never negative. */
const rarity = (size: number, total: number) =>
  Math.log(1 + (Math.max(total, size) - size + 0.5) / (size + 0.5))

function addUp(lists: readonly List[]): Scores {
  const scores: Scores = new Map()
  for (const { members, rarity } of lists) {
    for (let i = 0; i < members.length; i += 2) {
      scores.set(members[i]!, (scores.get(members[i]!) ?? 0) + rarity * Number(members[i + 1]))
    }
  }
  return scores
}

/** The best of several lists; equal ones by name, so that the same search gives the same order. */
export const best = (lists: readonly Iterable<[string, number]>[], limit: number): [string, number][] =>
  lists
    .flatMap((list) => [...list])
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .slice(0, limit)

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)
