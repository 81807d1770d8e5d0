import type { Filter } from '../filters.ts'
import type { Argument, Command, Redis } from '../ports/redis.ts'
import type { Hit, PlanStep, VectorIndex, VectorKeys, VectorSearch } from '../ports/vectors.ts'
import { type Calls, explained } from './vectors-calls.ts'
import { refOf } from './vectors-chunk.ts'
import { best } from './vectors-postings.ts'
import { type Selection, selectBy, valuesOf } from './vectors-selection.ts'
import { toExpression } from './vectorset-filter.ts'
import { createSimilarities, toCosine, toVectorArguments } from './vectorset-similarities.ts'

export interface VectorSearchOptions {
  redis: Redis
  keys: VectorKeys
  /** At most so many chunks that pass a filter are scored one by one; by default what is the quickest. */
  scoredOneByOne?: number
}

/** Breadth of the search in the graph. With FILTER each step costs more, and 100 found as much. */
const EFFORT = { all: 200, filtered: 100 }

/** Of the hot tag; each value costs a search. */
const MOST_HOT_VALUES = 16

/** Scored one by one: all these vectors are sent to this function. */
const MOST_SCORED = 10_000

/** Whose attributes are read, where FILTER has found too few. */
const MOST_LOOKED_AT = 20_000

/** By FILTER, before it gives up: 100 ms. A write that comes meanwhile waits, and all of Redis with it: PING took 37 ms beside walks of 33. */
const MOST_WALKED = 20_000

const GRAPH = 'a search in the graph may miss some'

/**
 * Nearest vectors. With a filter, by what it leaves:
 *
 * - `hot-tag`: it asks for values of the hot tag, which have sets of their own: 0.9 ms where all took 1.2 ms.
 * - `score`: few pass; they are found by the inverted sets and scored one by one, exactly: 7 to 9 µs each.
 * - `filter`: VSIM's FILTER, which reads the attributes of every vector that it walks by: 5 µs each.
 *
 * (100,000 × 384, NOQUANT.) To find EF vectors of which R of N pass, FILTER walks by EF × N / R, so it is the dearer one until
 * about R² = EF × N: of 100,000 until 3,200 pass, of a million until 10,000. TRUTH is not used: it reads all, 12 ms of 20,000.
 */
export function createVectorSearch({ redis, keys, scoredOneByOne }: VectorSearchOptions) {
  const similarities = createSimilarities({ redis, keys })
  const selectors = { redis, keys }

  return async function searchVectors(
    index: VectorIndex,
    { vector, limit, filter, effort, ...options }: VectorSearch & { vector: Float32Array },
  ): Promise<{ hits: Hit[]; step: PlanStep }> {
    const { result, step } = await explained(options, async (calls) => {
      const { hot, rest } = splitHot(index, filter)
      const breadth = Math.max(limit, effort ?? (rest ? EFFORT.filtered : EFFORT.all))
      const walk = async (filtering: Argument[] = []) => {
        const sets = hot ? hot.tags.flatMap((tag) => setsOf(index, tag)) : setsOf(index)
        return walkGraph(sets, ['COUNT', limit, 'EF', breadth, ...filtering], vector, calls)
      }
      if (!rest) return { ...toStep(hot ? 'hot-tag' : 'knn', GRAPH), result: await walk() }

      const [selections, among] = await Promise.all([
        selectBy(selectors, index, filter!, calls),
        hot && selectBy(selectors, index, hot.filter, calls),
      ])
      const total = sum((among ?? selections).map((part) => (among ? part.atMost : part.total)))
      const atMost = sum(selections.map((part) => part.atMost))
      const scored = scoredOneByOne ?? MOST_SCORED
      if (atMost <= Math.min(scored, Math.sqrt(breadth * total)))
        return { ...toStep('score'), result: await scoreEach(await read(selections, calls)) }

      const walkFiltered = (walked: number) =>
        walk(['FILTER', toExpression(index, rest), 'FILTER-EF', walked])
      let walked = Math.min(MOST_WALKED, Math.ceil((2 * breadth * total) / atMost))
      let found = await walkFiltered(walked)
      if (found.size < limit && scored > 0 && atMost <= MOST_LOOKED_AT) {
        // Parts of the filter that leave much, together leave little.
        const passing = await read(selections, calls)
        if (sum(passing.map(({ members }) => members.length)) <= scored)
          return { ...toStep('filter-score'), result: await scoreEach(passing) }
      }
      if (found.size < limit && walked < MOST_WALKED) {
        walked = MOST_WALKED
        found = await walkFiltered(walked)
      }
      const why = `${GRAPH}, and walks by ${walked} vectors at most`
      return { ...toStep(hot ? 'hot-tag-filter' : 'filter', why), result: found }

      async function scoreEach(passing: Passing[]): Promise<Scores> {
        const places = passing.flatMap(({ partition, members }) =>
          members.map((member) => ({ partition, member })),
        )
        const scores = await similarities(index, vector, places, calls)
        return new Map(
          places.flatMap(({ member }, i) => (scores[i] === null ? [] : [[member, scores[i]!] as const])),
        )
      }
    })
    const hits = best([result], limit).map(([member, score]) => ({ ...refOf(keys, index, member), score }))
    return { hits, step }
  }

  async function walkGraph(
    sets: readonly string[],
    options: readonly Argument[],
    vector: Float32Array,
    calls: Calls,
  ): Promise<Scores> {
    const near = toVectorArguments(redis, vector)
    const replies = await calls.ask(
      redis,
      sets.map((key): Command => ['VSIM', key, ...near, 'WITHSCORES', ...options]),
    )
    const scores: Scores = new Map()
    for (const reply of replies as string[][]) {
      // Redis gives (1 + cosine) / 2.
      for (let i = 0; i < reply.length; i += 2) scores.set(reply[i]!, toCosine(2 * Number(reply[i + 1]) - 1))
    }
    return scores
  }

  function setsOf(index: VectorIndex, tag?: string): string[] {
    return Array.from({ length: index.partitions }, (_, partition) => keys.vectors(index, partition, tag))
  }
}

/** Member → cosine. */
type Scores = Map<string, number>

interface Passing {
  partition: number
  members: string[]
}

const toStep = (name: string, why?: string) => ({ side: 'vector' as const, name, why })

const read = (selections: readonly Selection[], calls: Calls): Promise<Passing[]> =>
  Promise.all(selections.map(async ({ partition, read }) => ({ partition, members: await read(calls) })))

interface Split {
  /** Values of the hot tag, one of which every chunk that passes has; and the part of the filter that says so. */
  hot?: { tags: string[]; filter: Filter }
  /** What else the filter asks. */
  rest?: Filter
}

function splitHot({ hotTag }: VectorIndex, filter?: Filter): Split {
  if (!filter) return {}
  const parts = 'filters' in filter && filter.type === 'and' ? filter.filters : [filter]
  for (const part of parts) {
    if ('filters' in part || part.key !== hotTag || (part.type !== 'eq' && part.type !== 'in')) continue
    const tags = [...new Set(valuesOf(part).map(String))]
    if (tags.length > MOST_HOT_VALUES) continue
    const others = parts.filter((other) => other !== part)
    return { hot: { tags, filter: part }, rest: others.length ? { type: 'and', filters: others } : undefined }
  }
  return { rest: filter }
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)
