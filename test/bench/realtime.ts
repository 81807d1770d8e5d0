import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@redis/client'
import { Agent, request } from 'undici'
import type { Bench } from './bench.ts'
import { ADMIN_KEY } from './hub.ts'
import { percentile, round } from './statistics.ts'

const READERS = 2_000
const MESSAGES = 60
const PAUSE_MS = 150
const WARM_UP = 10

const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' }

/** 2,000 readers of one channel on one instance: what they cost Redis and memory, and when the median and the last one has a message. */
export async function realtime(bench: Bench): Promise<void> {
  const hub = await bench.start('infra/node.ts', {
    ...{ PORT: '0', REDIS_URL: bench.redis.url, HUB_ADMIN_KEY: ADMIN_KEY },
  })
  const redis = await createClient({ url: bench.redis.url }).connect()
  const agent = new Agent({ connections: null, bodyTimeout: 0, headersTimeout: 60_000 })
  const post = async (path: string, body: object) => {
    const reply = await request(hub.url + path, { method: 'POST', headers, body: JSON.stringify(body) })
    const text = await reply.body.text()
    if (reply.statusCode >= 300) throw new Error(`${path}: ${reply.statusCode} ${text}`)
  }

  try {
    await measure('news', 'post to delivery', (at) => post('/v1/realtime/news', { data: { at } }))
    await measure('events:bench', 'intake to delivery', (at) =>
      post('/v1/events/bench', { type: 'bench', source: '/bench', data: { at } }),
    )
  } finally {
    await agent.destroy()
    redis.destroy()
  }

  async function measure(channel: string, name: string, send: (at: number) => Promise<void>) {
    bench.progress(`${name}: ${READERS} readers connect …`)
    const before = { bytes: await hub.residentBytes(), clients: await clients() }
    const delivered = new Map<number, number[]>()
    const onMessage = (at: number) => {
      const delays = delivered.get(at) ?? []
      delays.push(performance.now() - at)
      delivered.set(at, delays)
    }
    const bodies = []
    for (let n = 0; n < READERS; n += 50) {
      bodies.push(...(await Promise.all(Array.from({ length: 50 }, () => listen(channel, onMessage)))))
    }
    await sleep(2_000)
    const grown = (await hub.residentBytes()) - before.bytes
    const subscribed = await redis.sendCommand(['PUBSUB', 'NUMSUB', channel])
    const after = await clients()

    const sent: number[] = []
    for (let n = 0; n < MESSAGES; n++) {
      const at = performance.now()
      sent.push(at)
      await send(at)
      await sleep(PAUSE_MS)
    }
    const deadline = performance.now() + 30_000
    while (sent.some((at) => delivered.get(at)?.length !== READERS)) {
      if (performance.now() > deadline) throw new Error(`${name}: not every reader got every message`)
      await sleep(50)
    }
    const measured = sent.slice(WARM_UP).map((at) => delivered.get(at)!)
    const medians = measured.map((delays) => percentile(delays, 50))
    const lasts = measured.map((delays) => percentile(delays, 100))
    bench.print({
      target: name,
      readers: READERS,
      messages: measured.length,
      redis_subscriptions: (subscribed as unknown as unknown[])[1],
      redis_connections: after,
      redis_connections_before: before.clients,
      // The second time the heap has room from the first.
      ...(channel === 'news' && { hub_kb_per_reader: round(grown / READERS / 1024, 1) }),
      median_reader_p50_ms: round(percentile(medians, 50), 2),
      median_reader_p99_ms: round(percentile(medians, 99), 2),
      last_reader_p50_ms: round(percentile(lasts, 50), 2),
      last_reader_p99_ms: round(percentile(lasts, 99), 2),
    })
    for (const body of bodies) body.destroy()
    await sleep(500)

    // Readers fewer than a loaded instance has: what the hops themselves take.
    const few: number[] = []
    const one = await listen(channel, (at) => few.push(performance.now() - at))
    for (let n = 0; n < MESSAGES * 3; n++) {
      await send(performance.now())
      await sleep(10)
    }
    const delays = few.slice(WARM_UP)
    bench.print({
      ...{ target: name, readers: 1, messages: delays.length },
      p50_ms: round(percentile(delays, 50), 2),
      p99_ms: round(percentile(delays, 99), 2),
    })
    one.destroy()
  }

  async function listen(channel: string, onMessage: (at: number) => void) {
    const reply = await request(`${hub.url}/v1/realtime/${channel}`, { headers, dispatcher: agent })
    if (reply.statusCode !== 200) throw new Error(`It is ${reply.statusCode}: ${await reply.body.text()}`)
    let rest = ''
    reply.body.on('error', () => {}) // we leave
    reply.body.on('data', (chunk: Buffer) => {
      const blocks = (rest + chunk.toString('latin1')).split('\n\n')
      rest = blocks.pop()!
      for (const block of blocks) {
        const at = /"at":([\d.]+)/.exec(block)?.[1]
        if (at) onMessage(Number(at))
      }
    })
    return reply.body
  }

  async function clients(): Promise<number> {
    const list = String(await redis.sendCommand(['CLIENT', 'LIST']))
    return list.trim().split('\n').length - 1
  }
}
