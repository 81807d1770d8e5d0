import { readFileSync } from 'node:fs'
import type { Bench } from './bench.ts'
import { QUERIES, type Query, readPassages } from './retrieval-corpus.ts'
import { median, round } from './statistics.ts'

const MODES = ['text', 'vector', 'hybrid'] as const
type Mode = (typeof MODES)[number]

const TOP = 10
const DOCUMENTS_A_CALL = 100

/**
 * Known-item search through the hub's own routes, with the embedded model: is the passage found that the query was taken
 * from? MRR@10 is the mean of 1 / rank, recall@10 the part that is among the first ten. Weights were chosen on the half
 * `tune`; `report` is what they are worth.
 */
export async function retrieval(bench: Bench): Promise<void> {
  const hub = await bench.start('infra/node.ts', { PORT: '0', REDIS_URL: bench.redis.url })
  const passages = readPassages()
  const queries = readQueries(new Set(passages.map(({ id }) => id)))
  bench.print({
    corpus: 'doc comments of @types/node and TypeScript',
    passages: passages.length,
    queries: queries.length,
  })
  await call(hub.url, 'PUT', '/v1/indexes/bench', { fields: {} })
  const began = performance.now()
  for (let at = 0; at < passages.length; at += DOCUMENTS_A_CALL) {
    bench.progress(`${at} of ${passages.length} passages are in`)
    const documents = passages.slice(at, at + DOCUMENTS_A_CALL).map(({ id, text }) => ({ id, text }))
    await call(hub.url, 'POST', '/v1/indexes/bench/documents', documents)
  }
  bench.print({
    ingest: { passages_per_second: round((passages.length * 1000) / (performance.now() - began), 1) },
  })

  const ranks = new Map<Mode, Map<Query, number>>()
  for (const mode of MODES) {
    bench.progress(`${mode}: ${queries.length} queries …`)
    const times: number[] = []
    const found = new Map<Query, number>()
    for (const query of queries) {
      const start = performance.now()
      found.set(query, await rankOf(hub.url, query, mode))
      times.push(performance.now() - start)
    }
    ranks.set(mode, found)
    bench.print({ mode, p50_ms: round(median(times), 1) })
  }
  for (const half of ['tune', 'report'] as const) {
    const scores = Object.fromEntries(MODES.map((mode) => [mode, scoreOf(ranks.get(mode)!, half)])) as Scores
    const better = (of: keyof Score) => Math.max(scores.text[of], scores.vector[of])
    const met = scores.hybrid.mrr_10 >= better('mrr_10') && scores.hybrid.recall_10 >= better('recall_10')
    bench.print({
      summary: 'retrieval',
      half,
      ...scores,
      goal: 'hybrid >= the better of the two',
      goal_met: met,
    })
  }
}

interface Score {
  mrr_10: number
  recall_10: number
}
type Scores = Record<Mode, Score>

/** The rank of the passage, from 1; 0 where it is not among the first ten. */
async function rankOf(url: string, { query, passage }: Query, mode: Mode): Promise<number> {
  const body = { query, mode, top_k: TOP }
  const { results } = await call<{ results: { document_id: string }[] }>(
    url,
    'POST',
    '/v1/indexes/bench/search',
    body,
  )
  // A long passage is several chunks: it stands where its best one does.
  const ids = [...new Set(results.map(({ document_id }) => document_id))]
  return ids.indexOf(passage) + 1
}

function scoreOf(ranks: Map<Query, number>, half: Query['half']): Score {
  const of = [...ranks].filter(([query]) => query.half === half).map(([, rank]) => rank)
  const mean = (numbers: number[]) => round(numbers.reduce((sum, one) => sum + one, 0) / numbers.length, 4)
  return {
    mrr_10: mean(of.map((rank) => (rank ? 1 / rank : 0))),
    recall_10: mean(of.map((rank) => (rank ? 1 : 0))),
  }
}

/** Fails where the packages ship other texts than those that the queries were taken from. */
function readQueries(known: ReadonlySet<string>): Query[] {
  const queries: Query[] = readFileSync(QUERIES, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const missing = queries.filter(({ passage }) => !known.has(passage))
  if (missing.length === 0) return queries
  throw new Error(`${missing.length} passages are gone from the packages: see test/bench/retrieval-corpus.ts`)
}

async function call<Answer>(url: string, method: string, path: string, body: object): Promise<Answer> {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${url}${path}`, { method, headers, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return (await response.json()) as Answer
}
