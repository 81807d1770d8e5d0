import { type Comparison, type Filter, matches } from '../filters.ts'
import type { Command, Redis } from '../ports/redis.ts'
import type { VectorIndex, VectorKeys } from '../ports/vectors.ts'
import type { Calls } from './vectors-calls.ts'

/** What a filter leaves of one partition, by the inverted sets that `vectors-inverted.ts` keeps. */
export interface Selection {
  partition: number
  /** Chunks of the partition. */
  total: number
  /** So many pass the filter, or fewer. */
  atMost: number
  /** Those that pass, exactly. Reads about `atMost` names. */
  read(calls: Calls): Promise<string[]>
}

/** Where the chunks are that pass a comparison. */
interface Source {
  count: Command
  read: Command
}

type Node =
  | { type: 'sources'; sources: Source[] }
  /** What lacks something: only all chunks hold them. */
  | { type: 'all' }
  | { type: 'and' | 'or'; parts: Node[] }

interface Chosen {
  /** Absent: all chunks. */
  sources?: Source[]
  atMost: number
  /** Whether all of the sources pass, without being looked at. */
  exact: boolean
}

/** A filter of more sets than this is answered by looking at the chunks. */
const MOST_SOURCES = 2_000

/** Counts, in one wave, what a filter leaves of each partition. */
export async function selectBy(
  { redis, keys }: { redis: Redis; keys: VectorKeys },
  index: VectorIndex,
  filter: Filter,
  calls: Calls,
): Promise<Selection[]> {
  const parts = Array.from({ length: index.partitions }, (_, partition) => {
    const tree = toNode(filter, index, keys, partition)
    const sources = sourcesOf(tree)
    const node: Node = sources.length > MOST_SOURCES ? { type: 'all' } : tree
    return { partition, node, sources: node.type === 'all' ? [] : sources }
  })
  const counting = parts.flatMap(({ partition, sources }): Command[] => [
    ['HLEN', keys.attributes(index, partition)],
    ...sources.map(({ count }) => count),
  ])
  const replies = (await calls.ask(redis, counting)) as number[]
  return parts.map(({ partition, node, sources }) => {
    const [total = 0, ...counted] = replies.splice(0, sources.length + 1)
    const counts = new Map(sources.map((source, i) => [source, counted[i]!]))
    const { atMost, ...chosen } = choose(node, counts, total)
    const read = (calls: Calls) => readPassing({ redis, keys }, index, { filter, partition, chosen }, calls)
    return { partition, total, atMost: Math.min(atMost, total), read }
  })
}

function toNode(filter: Filter, index: VectorIndex, keys: VectorKeys, partition: number): Node {
  if ('filters' in filter) {
    const parts = filter.filters.map((part) => toNode(part, index, keys, partition))
    return parts.length === 1 ? parts[0]! : { type: filter.type, parts }
  }
  if (filter.type === 'ne' || filter.type === 'nin') return { type: 'all' }
  const isTag = index.fields[filter.key] === 'tag'
  const values = [...new Set(valuesOf(filter))]
  if (isTag) {
    const sets = new Set(values.map((value) => keys.tagged(index, partition, filter.key, String(value))))
    return {
      type: 'sources',
      sources: [...sets].map((key) => ({ count: ['ZCARD', key], read: ['ZRANGE', key, 0, -1] })),
    }
  }
  const key = keys.numbered(index, partition, filter.key)
  const sources = values.map((value): Source => {
    const [min, max] = rangeOf(filter.type, value as number)
    return { count: ['ZCOUNT', key, min, max], read: ['ZRANGE', key, min, max, 'BYSCORE'] }
  })
  return { type: 'sources', sources }
}

function rangeOf(type: Comparison['type'], value: number): [string, string] {
  if (type === 'gt') return [`(${value}`, '+inf']
  if (type === 'gte') return [`${value}`, '+inf']
  if (type === 'lt') return ['-inf', `(${value}`]
  if (type === 'lte') return ['-inf', `${value}`]
  return [`${value}`, `${value}`]
}

export const valuesOf = ({ value }: Comparison): readonly (string | number | boolean)[] =>
  typeof value === 'object' ? value : [value]

function sourcesOf(node: Node): Source[] {
  if (node.type === 'all') return []
  return node.type === 'sources' ? node.sources : node.parts.flatMap(sourcesOf)
}

/** The fewest chunks among which all that pass are found. */
function choose(node: Node, counts: Map<Source, number>, total: number): Chosen {
  if (node.type === 'all') return { atMost: total, exact: false }
  if (node.type === 'sources') {
    const atMost = sum(node.sources.map((source) => counts.get(source)!))
    return { sources: node.sources, atMost, exact: true }
  }
  const parts = node.parts.map((part) => choose(part, counts, total))
  if (node.type === 'and') {
    const best = parts.reduce((a, b) => (b.atMost < a.atMost ? b : a))
    return { ...best, exact: false }
  }
  const sources: Source[] = []
  for (const part of parts) {
    if (!part.sources) return { atMost: total, exact: false }
    sources.push(...part.sources)
  }
  return { sources, atMost: sum(parts.map(({ atMost }) => atMost)), exact: parts.every(({ exact }) => exact) }
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)

interface Passing {
  filter: Filter
  partition: number
  chosen: Omit<Chosen, 'atMost'>
}

async function readPassing(
  { redis, keys }: { redis: Redis; keys: VectorKeys },
  index: VectorIndex,
  { filter, partition, chosen: { sources, exact } }: Passing,
  calls: Calls,
): Promise<string[]> {
  if (!sources) {
    const [pairs] = (await calls.ask(redis, [['HGETALL', keys.attributes(index, partition)]])) as [string[]]
    const passing: string[] = []
    for (let i = 0; i < pairs.length; i += 2) if (passes(filter, pairs[i + 1]!)) passing.push(pairs[i]!)
    return passing
  }
  const lists = (await calls.ask(
    redis,
    sources.map(({ read }) => read),
  )) as string[][]
  const members = [...new Set(lists.flat())]
  return exact ? members : keepPassing({ redis, keys }, index, { filter, partition, members }, calls)
}

/** Those of the members that pass. */
export async function keepPassing(
  { redis, keys }: { redis: Redis; keys: VectorKeys },
  index: VectorIndex,
  { filter, partition, members }: { filter: Filter; partition: number; members: readonly string[] },
  calls: Calls,
): Promise<string[]> {
  if (members.length === 0) return []
  const key = keys.attributes(index, partition)
  const commands: Command[] = []
  for (let i = 0; i < members.length; i += MOST_FIELDS)
    commands.push(['HMGET', key, ...members.slice(i, i + MOST_FIELDS)])
  const attributes = (await calls.ask(redis, commands)).flat() as (string | null)[]
  return members.filter((_, i) => passes(filter, attributes[i] ?? null))
}

/** Of one command: Redis does nothing else meanwhile. */
const MOST_FIELDS = 1_000

const passes = (filter: Filter, attributes: string | null) =>
  attributes !== null && matches(filter, JSON.parse(attributes))
