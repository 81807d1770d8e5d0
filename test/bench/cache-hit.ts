import { createHash } from 'node:crypto'
import { createClient } from '@redis/client'
import type { Bench, Measurement, Target } from './bench.ts'
import { chatRequest, startHub } from './hub.ts'
import { median, round } from './statistics.ts'

const ROUNDS = 5
const GOAL = 0.7

/** What a stored answer costs, beside a handler that only parses, hashes and asks Redis once. */
export async function cacheHit(bench: Bench): Promise<void> {
  const { hub, key } = await startHub(bench)
  const bare = await bench.start('test/bench/bare-hit.ts', { REDIS_URL: bench.redis.url })
  const request = chatRequest()
  await fill(bench, hub.url, key, request)

  const load = { headers: { authorization: `Bearer ${key}` }, body: request, expect: '"choices"' }
  const target = (name: string, process: typeof hub): Target => ({
    name,
    process,
    load: { ...load, url: `${process.url}/v1/chat/completions` },
  })
  const targets = [target('hub', hub), target('bare', bare)]
  for (const each of targets) await bench.measure(each, { connections: 32, warmUp: true })

  for (const connections of [1, 32]) {
    const measured: Record<string, Measurement[]> = { hub: [], bare: [] }
    for (let number = 1; number <= ROUNDS; number++) {
      // Neither always goes second, when the machine is warmer or busier.
      for (const each of number % 2 ? targets : targets.toReversed()) {
        const labels = { round: number }
        measured[each.name]!.push(await bench.measure({ ...each, labels }, { connections }))
      }
    }
    summarise(bench, connections, measured.hub!, measured.bare!)
  }
}

/** The hub's answer comes from the provider once; the yardstick is given what the hub stored, under its own key. */
async function fill(bench: Bench, hubUrl: string, key: string, request: object) {
  const body = JSON.stringify(request)
  for (const expected of ['stored', 'hit']) {
    const response = await fetch(`${hubUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body,
    })
    const status = response.headers.get('cache-status')
    await response.text()
    if (!status?.includes(expected)) throw new Error(`Cache-Status is ${status}, and not ${expected}`)
  }
  const redis = createClient({ url: bench.redis.url })
  await redis.connect()
  const [entry] = (await redis.keys('*llm:cache:*')).filter((name) => !name.startsWith('{'))
  const hash = createHash('sha256').update(body).digest('hex')
  await redis.set(`bare:${hash}`, (await redis.get(entry!))!)
  redis.destroy()
}

function summarise(bench: Bench, connections: number, hub: Measurement[], bare: Measurement[]) {
  const of = (measurements: Measurement[], field: keyof Measurement) =>
    median(measurements.map((each) => each[field]))
  const ratio = (field: keyof Measurement) =>
    round(median(hub.map((each, i) => each[field] / bare[i]![field])), 2)
  const throughput = ratio('requests_per_second')
  bench.print({
    summary: 'cache-hit',
    connections,
    hub_requests_per_second: of(hub, 'requests_per_second'),
    bare_requests_per_second: of(bare, 'requests_per_second'),
    throughput_ratio: throughput,
    cpu_ratio: ratio('cpu_us_per_request'),
    p50_ratio: ratio('p50_ms'),
    ...(connections === 32 && { goal: `throughput_ratio >= ${GOAL}`, goal_met: throughput >= GOAL }),
  })
}
