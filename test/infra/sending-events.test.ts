import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unique } from '../support/app.ts'
import { type NodeHub, startNodeHub } from '../support/hub.ts'
import { startTestRedis } from '../support/redis.ts'

const page = readFileSync(new URL('../../infra/docs/sending-events.md', import.meta.url), 'utf8')
const blocks = (language: string) =>
  [...page.matchAll(/```(\w+)\n(.*?)```/gs)]
    .filter(([, name]) => name === language)
    .map(([, , text]) => text!)

let redis: Awaited<ReturnType<typeof startTestRedis>>
let hub: NodeHub
beforeAll(async () => {
  redis = await startTestRedis()
  hub = await startNodeHub({ REDIS_URL: redis.url, HUB_ADMIN_KEY: '' })
}, 30_000)
afterAll(async () => {
  await hub.stop()
  await redis.stop()
})

/** A pasted line, at this hub instead of the one that `npm start` starts. */
async function paste(line: string) {
  const { stdout } = await promisify(execFile)('bash', [
    '-c',
    line.replaceAll('http://127.0.0.1:8787', hub.url),
  ])
  return JSON.parse(stdout)
}

describe('infra/docs/sending-events.md', () => {
  it('its lines hold when they are pasted, and store nothing twice when they are pasted again', async () => {
    const [single, lines, settings, batch] = blocks('sh')
    expect(blocks('sh')).toHaveLength(4)
    expect(await paste(single!)).toMatchObject({ accepted: 1, events: [{ id: '42' }] })
    expect(await paste(lines!)).toMatchObject({ accepted: 2 })
    expect(await paste(batch!)).toMatchObject({ accepted: 2, events: [{ id: 'clicks-0-1001' }, {}] })
    expect(await paste(settings!)).toMatchObject({ name: 'orders', id: 'order_id' })
    for (const [line, duplicates] of [
      [single, 1],
      [lines, 2],
      [batch, 2],
    ] as const) {
      expect(await paste(line!)).toMatchObject({ accepted: 0, duplicates })
    }
  })

  it.each([0, 1, 2])('connector %i sends what is taken, and again without harm', async (number) => {
    const config: Record<string, string> = JSON.parse(blocks('json')[number]!)
    const stream = unique('orders')
    const url = `${hub.url}/v1/events/${stream}`
    await fetch(url, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: '{"id":"order_id"}',
    })
    const records = [1, 2, 3].map((n) => ({ order_id: n, customer: 'a' }))
    const send = async () => {
      const reply = await fetch(url, { method: 'POST', ...asConnectorSends(config, records) })
      return { status: reply.status, ...(await reply.json()) }
    }
    expect(await send()).toMatchObject({
      status: 202,
      accepted: 3,
      events: [{ id: '1' }, { id: '2' }, { id: '3' }],
    })
    expect(await send()).toMatchObject({ status: 202, accepted: 0, duplicates: 3 })
  })
})

/** As the connectors' own documentation of these settings says. */
function asConnectorSends(config: Record<string, string>, records: object[]) {
  const values = records.map((record) => JSON.stringify(record))
  if (config['connector.class']!.startsWith('io.aiven')) {
    const {
      'batch.prefix': prefix = '',
      'batch.separator': separator = '\n',
      'batch.suffix': suffix = '\n',
    } = config
    const body = prefix + values.join(separator) + suffix
    return { headers: { 'content-type': config['http.headers.content.type']! }, body }
  }
  const headers = config.headers!.split('|').map((header) => header.split(':') as [string, string])
  expect(config).toMatchObject({ 'request.body.format': 'json', 'batch.json.as.array': 'true' })
  return { headers: Object.fromEntries(headers), body: `[${values.join(',')}]` }
}
