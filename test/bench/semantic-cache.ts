import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { startProvider } from '../support/provider.ts'
import type { Bench } from './bench.ts'

interface Pair {
  id: string
  a: string
  b: string
  same: boolean
  kind: string
}

const MODEL = 'openai/gpt-4o-mini'
/** Pairs up to this one were looked at while the guard was written; the others were only counted. */
const TUNED_ON = 80

/**
 * The labelled pairs through a real hub: every `a` is asked first, all under one system prompt, then every `b` with
 * `only-if-cached`. A pair marked same counts as served when `b` got the answer to its `a`; every other hit is a false one.
 */
export async function semanticCache(bench: Bench) {
  const file = new URL('../fixtures/semantic-pairs.dev.jsonl', import.meta.url)
  const pairs: Pair[] = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const judge = process.env.HUB_SEMANTIC_JUDGE
  const provider = await startProvider({ record: false, text: (_, body) => answerTo(lastOf(body)) })
  try {
    await measure(bench, pairs, provider.url)
    if (judge) await measure(bench, pairs, provider.url, judge)
    else
      bench.progress(
        'HUB_SEMANTIC_JUDGE is not set (e.g. anthropic/…, with its key): nothing was put to a judge.',
      )
  } finally {
    await provider.close()
  }
}

async function measure(bench: Bench, pairs: Pair[], providerUrl: string, judge?: string) {
  const hub = await bench.start('infra/node.ts', {
    ...(judge ? (process.env as Record<string, string>) : {}), // the judge is a real model, with its own key
    PORT: '0',
    REDIS_URL: bench.redis.url,
    HUB_EMBEDDING_MODEL: 'local',
    HUB_DEFAULT_PROVIDER: 'openai',
    OPENAI_API_KEY: 'sk-bench',
    OPENAI_BASE_URL: providerUrl,
    ...(judge ? { HUB_SEMANTIC_JUDGE: judge } : {}),
  })
  const complete = async (text: string, headers: Record<string, string>) => {
    const messages = [
      { role: 'system', content: `You are a helpful assistant.${judge ? ' Be brief.' : ''}` },
      { role: 'user', content: text },
    ]
    const response = await fetch(`${hub.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-hub-semantic': 'on', ...headers },
      body: JSON.stringify({ model: MODEL, messages }),
    })
    const body = (await response.json()) as { choices?: { message: { content: string } }[] }
    return { status: response.status, text: body.choices?.[0]?.message.content }
  }

  bench.progress(`Storing ${pairs.length} answers …`)
  for (const { a } of pairs) await complete(a, { 'cache-control': 'no-cache' })
  const deadline = Date.now() + 120_000 // they are written after the reply
  while ((await remembered(bench)) < pairs.length) {
    if (Date.now() > deadline) throw new Error('The questions were not remembered within two minutes.')
    await sleep(200)
  }

  bench.progress(`Asking ${pairs.length} questions …`)
  const results: (Pair & { served: boolean; wrong: boolean })[] = []
  for (const pair of pairs) {
    const { status, text } = await complete(pair.b, { 'cache-control': 'only-if-cached' })
    if (status !== 200 && status !== 504) throw new Error(`${pair.id}: HTTP ${status}`)
    const hit = status === 200
    const right = pair.same && text === answerTo(pair.a)
    results.push({ ...pair, served: hit && right, wrong: hit && !right })
  }
  const parts = {
    all: results,
    'd001–d080 (tuned on)': results.slice(0, TUNED_ON),
    'd081–d160': results.slice(TUNED_ON),
  }
  for (const [part, rows] of Object.entries(parts)) {
    const same = rows.filter((row) => row.same)
    bench.print({
      part,
      judge: judge ?? null,
      same: same.length,
      served: same.filter(({ served }) => served).length,
      not_same: rows.length - same.length,
      false_hits: rows.filter(({ wrong }) => wrong).length,
    })
  }
  const kinds = Object.groupBy(
    results.filter(({ same }) => same),
    ({ kind }) => kind,
  )
  const servedOf = Object.entries(kinds).map(([kind, rows = []]) => [
    kind,
    `${rows.filter(({ served }) => served).length} of ${rows.length}`,
  ])
  bench.print({ served_by_kind: Object.fromEntries(servedOf) })
  if (judge) {
    const usage = await fetch(`${hub.url}/v1/usage?group_by=model`)
    bench.print({ judge, usage: await usage.json() })
  }
}

/** Questions in the vector set of the semantic cache. */
async function remembered({ redis: { url } }: Bench): Promise<number> {
  const redis = createRedisResp({ url })
  try {
    const [found] = await redis.wave([['SCAN', '0', 'MATCH', 'vec:~semantic-*', 'COUNT', 100_000]])
    const [key] = (found as [string, string[]])[1]
    const [count] = key ? await redis.wave([['VCARD', key]]) : [0]
    return count as number
  } finally {
    await redis.close()
  }
}

const answerTo = (prompt: string) => `The answer to: ${prompt}`

const lastOf = ({ messages }: Record<string, unknown>) => (messages as { content: string }[]).at(-1)!.content
