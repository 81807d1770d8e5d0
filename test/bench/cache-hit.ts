import { createHash } from 'node:crypto'
import { createClient } from '@redis/client'
import type { Bench, Measurement, Target } from './bench.ts'
import { chatRequest, startHub } from './hub.ts'
import { median, round } from './statistics.ts'

const ROUNDS = 5
/** Of the bare handler's throughput at 32 connections. */
const GOALS: Record<string, number> = { hub: 0.7, 'hub-limited': 0.6 }

/**
 * What a stored answer costs, beside a handler that only parses, hashes and asks Redis once: with a hub key, and with a
 * hub key that has a request limit. Usage is counted in both.
 */
export async function cacheHit(bench: Bench): Promise<void> {
  const { hub, key, limitedKey } = await startHub(bench)
  const bare = await bench.start('test/bench/bare-hit.ts', { REDIS_URL: bench.redis.url })
  const request = chatRequest()
  await fill(bench, hub.url, key, request)

  const target = (name: string, process: typeof hub, key: string): Target => ({
    name,
    process,
    load: {
      url: `${process.url}/v1/chat/completions`,
      headers: { authorization: `Bearer ${key}` },
      body: request,
      expect: '"choices"',
    },
  })
  const targets = [target('hub', hub, key), target('bare', bare, key), target('hub-limited', hub, limitedKey)]
  for (const each of targets) await bench.measure(each, { connections: 32, warmUp: true })

  for (const connections of [1, 32]) {
    const measured: Record<string, Measurement[]> = { hub: [], bare: [], 'hub-limited': [] }
    for (let number = 1; number <= ROUNDS; number++) {
      // Nobody always goes second, when the machine is warmer or busier.
      for (const each of number % 2 ? targets : targets.toReversed()) {
        const labels = { round: number }
        measured[each.name]!.push(await bench.measure({ ...each, labels }, { connections }))
      }
    }
    for (const name of Object.keys(GOALS))
      summarise(bench, name, connections, measured[name]!, measured.bare!)
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

function summarise(bench: Bench, name: string, connections: number, hub: Measurement[], bare: Measurement[]) {
  const of = (measurements: Measurement[], field: keyof Measurement) =>
    median(measurements.map((each) => each[field]))
  const ratio = (field: keyof Measurement) =>
    round(median(hub.map((each, i) => each[field] / bare[i]![field])), 2)
  const throughput = ratio('requests_per_second')
  const goal = GOALS[name]!
  bench.print({
    summary: 'cache-hit',
    target: name,
    connections,
    hub_requests_per_second: of(hub, 'requests_per_second'),
    bare_requests_per_second: of(bare, 'requests_per_second'),
    throughput_ratio: throughput,
    cpu_ratio: ratio('cpu_us_per_request'),
    p50_ratio: ratio('p50_ms'),
    ...(connections === 32 && { goal: `throughput_ratio >= ${goal}`, goal_met: throughput >= goal }),
  })
}
