import { afterAll, describe, expect, it } from 'vitest'
import type { CompletionRecord } from '../../../shared/completions/completion-record.ts'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { requestLogKey } from '../../../shared/keys.ts'
import type { Redis } from '../../../shared/ports/redis.ts'
import { createRequestLog } from '../../../shared/request-log/request-log.ts'
import { createRequestLogWriter } from '../../../shared/request-log/request-log-writer.ts'
import { unique } from '../../support/app.ts'
import { patient, startTestRedis, testRedisUrl } from '../../support/redis.ts'

const redis = patient(createRedisResp({ url: testRedisUrl() }))
afterAll(() => redis.close())

const DAY_MS = 86_400_000
/** Until a connection is back. */
const PATIENT = { timeout: 10_000 }

function start(of: Redis = redis, { withContent = false, most = 10_000, delayMs = 0 } = {}) {
  const clock = { late: 0, now: () => Date.now() + clock.late }
  const waves: number[] = []
  const counting = {
    ...of,
    wave: (...call: Parameters<Redis['wave']>) => {
      waves.push(call[0].length)
      return of.wave(...call)
    },
  }
  const lines: Record<string, unknown>[] = []
  const log = { error: (line: Record<string, unknown>) => lines.push(line) }
  const writer = createRequestLogWriter({
    ...{ redis: counting, clock, delayMs, keptDays: 7, most, withContent, log },
  })
  return { clock, waves, lines, writer, log: createRequestLog({ redis: of, clock, keptDays: 7 }) }
}

const record = (tenant: string, more: Partial<CompletionRecord> = {}): CompletionRecord => ({
  ...{ tenant, keyId: null, endpoint: 'chat.completions', model: 'm', streamed: false, verdict: 'miss' },
  ...{ startedAt: Date.now(), totalMs: 10, status: 200, cost: 0, saved: 0, savedTokens: 0 },
  ...{
    contentRefused: false,
    request: { model: 'm', messages: [{ role: 'user', content: 'Where is Oslo?' }] },
  },
  ...more,
})

const all = { limit: 200 }

describe('the request log', () => {
  it('holds what a completion came to', async () => {
    const tenant = unique('log')
    const { writer, log } = start()
    const tokens = { input: 7, cachedRead: 2, cacheWrite: 1, output: 5, reasoning: 3, estimated: false }
    const at = Date.now()
    await writer.observe(
      record(tenant, {
        ...{ keyId: 'k1', requestId: 'r1', traceId: 't1', target: 'openai/m', streamed: true, startedAt: at },
        ...{ firstMs: 1.23456, totalMs: 20, tokens, cost: 0.5, status: 502, errorCode: 'provider_error' },
      }),
    )
    const { data } = await log.page(tenant, {}, all)
    expect(data).toEqual([
      {
        ...{ id: expect.stringMatching(/^\d+-\d+$/), at, request_id: 'r1', key_id: 'k1', trace_id: 't1' },
        ...{ endpoint: 'chat.completions', model: 'm', target: 'openai/m', verdict: 'miss', streamed: true },
        ...{ status: 502, error_code: 'provider_error', first_ms: 1.235, total_ms: 20 },
        tokens: { input: 7, cached: 2, cache_write: 1, output: 5, reasoning: 3, estimated: false },
        ...{ cost: 0.5, saved: 0, saved_tokens: 0, content: null },
      },
    ])
    expect(await log.get(tenant, data[0]!.id)).toEqual(data[0])
  })

  it('is each tenant’s own', async () => {
    const [mine, other] = [unique('log'), unique('log')]
    const { writer, log } = start()
    await writer.observe(record(mine))
    const [entry] = (await log.page(mine, {}, all)).data
    expect((await log.page(other, {}, all)).data).toEqual([])
    await expect(log.get(other, entry!.id)).rejects.toMatchObject({ status: 404, code: 'request_not_found' })
    await expect(log.get(mine, 'nonsense')).rejects.toMatchObject({ status: 404 })
  })

  it('pages back from the newest, with filters', async () => {
    const tenant = unique('log')
    const { writer, log } = start()
    for (let i = 0; i < 10; i++) {
      const verdict = i % 2 ? 'exact' : 'miss'
      await writer.observe(record(tenant, { requestId: `r${i}`, verdict, status: i === 4 ? 429 : 200 }))
    }
    const idsOf = ({ data }: { data: { request_id: string | null }[] }) => data.map((one) => one.request_id)
    const first = await log.page(tenant, { verdict: 'exact' }, { limit: 3 })
    expect(idsOf(first)).toEqual(['r9', 'r7', 'r5'])
    const rest = await log.page(tenant, { verdict: 'exact' }, { limit: 3, cursor: first.nextCursor! })
    expect(idsOf(rest)).toEqual(['r3', 'r1'])
    expect(rest.nextCursor).toBeNull()
    expect(idsOf(await log.page(tenant, { errors: true }, all))).toEqual(['r4'])
    expect(idsOf(await log.page(tenant, { status: [400, 499] }, all))).toEqual(['r4'])
    expect(idsOf(await log.page(tenant, { query: 'R3' }, all))).toEqual(['r3'])
    await expect(log.page(tenant, {}, { limit: 1, cursor: 'x' })).rejects.toMatchObject({ status: 400 })
  })

  it('filters by each thing that it knows', async () => {
    const tenant = unique('log')
    const { writer, log } = start()
    const at = Date.now()
    await writer.observe(
      record(tenant, { requestId: 'a', keyId: 'k', endpoint: 'ask', startedAt: at - 5_000 }),
    )
    await writer.observe(
      record(tenant, { requestId: 'b', model: 'fast', target: 'openai/x', totalMs: 900, startedAt: at }),
    )
    const found = async (filter: Parameters<typeof log.page>[1]) =>
      (await log.page(tenant, filter, all)).data.map(({ request_id }) => request_id).join()
    expect(await found({ model: 'fast' })).toBe('b')
    expect(await found({ model: 'openai/x' })).toBe('b')
    expect(await found({ key: 'k' })).toBe('a')
    expect(await found({ key: 'none' })).toBe('b')
    expect(await found({ endpoint: 'ask' })).toBe('a')
    expect(await found({ minMs: 900 })).toBe('b')
    expect(await found({ from: at })).toBe('b')
    expect(await found({ to: at })).toBe('a')
    expect(await found({ from: at - 5_000, to: at + 1 })).toBe('b,a')
    expect(await found({ to: at - 3_600_000 })).toBe('')
  })

  it('looks at a bounded part at once, and says where it goes on', async () => {
    const tenant = unique('log')
    const { log } = start()
    const few = createRequestLog({ redis, clock: Date, keptDays: 7, callBudget: 1 })
    const { writer } = start(redis, { delayMs: 20 })
    const first = writer.observe(record(tenant, { requestId: 'oldest' }))
    for (let i = 0; i < 300; i++) writer.observe(record(tenant))
    await first
    const page = await few.page(tenant, { query: 'oldest' }, all)
    expect(page).toMatchObject({ data: [], nextCursor: expect.any(String) })
    const next = await few.page(tenant, { query: 'oldest' }, { ...all, cursor: page.nextCursor! })
    expect(next.data.map(({ request_id }) => request_id)).toEqual(['oldest'])
    expect((await log.page(tenant, { query: 'oldest' }, all)).data).toHaveLength(1)
  })

  it('has content only where it was opted in, and the caller did not refuse', async () => {
    const tenant = unique('log')
    await start().writer.observe(record(tenant, { requestId: 'off' }))
    const { writer, log } = start(redis, { withContent: true })
    await writer.observe(record(tenant, { requestId: 'on' }))
    await writer.observe(record(tenant, { requestId: 'refused', contentRefused: true }))
    const { data } = await log.page(tenant, {}, all)
    expect(data.map(({ request_id, content }) => [request_id, content !== null])).toEqual([
      ['refused', false],
      ['on', true],
      ['off', false],
    ])
    expect((await log.page(tenant, { query: 'oslo' }, all)).data.map((one) => one.request_id)).toEqual(['on'])
  })

  it('forgets what is older than its days, of tenants too that send nothing any more', async () => {
    const tenant = unique('log')
    const { clock, writer, log } = start()
    await writer.observe(record(tenant))
    const [entry] = (await log.page(tenant, {}, all)).data
    clock.late = 7 * DAY_MS + 1_000
    expect((await log.page(tenant, {}, all)).data).toEqual([])
    await expect(log.get(tenant, entry!.id)).rejects.toMatchObject({ status: 404 })
    expect(await redis.wave([['XLEN', requestLogKey(tenant)]])).toEqual([1])
    await log.trim([tenant])
    expect(await redis.wave([['XLEN', requestLogKey(tenant)]])).toEqual([0])
    clock.late = 0
    await writer.observe(record(tenant))
    const [ttl] = await redis.wave([['PTTL', requestLogKey(tenant)]])
    expect(ttl).toBeGreaterThan(7 * DAY_MS - 60_000)
  })

  it('keeps about so many', async () => {
    const tenant = unique('log')
    const { writer } = start(redis, { most: 100, delayMs: 5 })
    const work = writer.observe(record(tenant))
    for (let i = 0; i < 1_000; i++) writer.observe(record(tenant))
    await work
    const [length] = await redis.wave([['XLEN', requestLogKey(tenant)]])
    expect(length).toBeGreaterThanOrEqual(100)
    expect(length).toBeLessThan(300) // Redis trims whole nodes
  })

  it('writes what ends together in one call for each tenant', async () => {
    const [tenant, other] = [unique('log'), unique('log')]
    const { writer, waves, log } = start(redis, { delayMs: 20 })
    const work = writer.observe(record(tenant))
    for (let i = 0; i < 9; i++) expect(writer.observe(record(i % 3 ? tenant : other))).toBeUndefined()
    await work
    expect(waves).toEqual([2])
    expect((await log.page(tenant, {}, all)).data).toHaveLength(7)
    expect((await log.page(other, {}, all)).data).toHaveLength(3)
  })

  it('does not wait for the delay when there is enough for a call, and loses nothing of many', async () => {
    const tenant = unique('log')
    const { writer, waves, log } = start(redis, { delayMs: 3_600_000 })
    const work = writer.observe(record(tenant))
    for (let i = 1; i < 5_000; i++) writer.observe(record(tenant, { requestId: `r${i}` }))
    await work
    expect(waves).toEqual(new Array(10).fill(1))
    expect(writer.dropped).toBe(0)
    const { data } = await log.page(tenant, {}, all)
    expect(data.map((one) => one.request_id)).toEqual(Array.from({ length: 200 }, (_, i) => `r${4_999 - i}`))
  })

  it('keeps entries while Redis is away, the oldest dropped beyond a bound', async () => {
    const tenant = unique('log')
    const server = await startTestRedis()
    const own = createRedisResp({ url: server.url })
    try {
      const { writer, lines, log } = start(own)
      await server.stop()
      const work = writer.observe(record(tenant, { requestId: 'r0' }))
      for (let i = 1; i < 10_050; i++) writer.observe(record(tenant, { requestId: `r${i}` }))
      writer.observe(record(tenant, { requestId: 'last' }))
      await expect(work).resolves.toBeUndefined()
      expect(writer.dropped).toBe(51)
      await using _ = await startTestRedis({ port: server.port, password: server.password })
      await expect
        .poll(async () => {
          await writer.observe(record(tenant, { requestId: 'back' }))
          return (await log.page(tenant, { query: 'last' }, { limit: 1 }).catch(() => undefined))?.data.length
        }, PATIENT)
        .toBe(1)
      const [[[, oldest]]] = (await own.wave([['XRANGE', requestLogKey(tenant), '-', '+', 'COUNT', 1]])) as [
        [[string, string[]]],
      ]
      expect(Number(/"r(\d+)"/.exec(oldest[1]!)![1])).toBeGreaterThanOrEqual(50)
      expect(lines[0]).toMatchObject({ msg: expect.stringContaining('lost') })
    } finally {
      await own.close()
    }
  })
})
