import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { startRouter } from '../../support/router.ts'

const stream = { stream: true }
const two = { targets: [{ model: 'one' }, { model: 'two' }] }

describe('an ordered alias', () => {
  it.each([
    ['an error', { status: 500 }, {}],
    ['a limit', { status: 429 }, {}],
    ['a refused credential', { status: 401 }, {}],
    ['a model that is gone', { status: 404 }, {}],
    ['an answer that is none', { raw: '<html>' }, {}],
    ['silence before the head', { silent: 'head' as const }, { connect_ms: 100 }],
    ['silence before the head of a stream', { silent: 'head' as const }, { first_token_ms: 100 }],
    ['a stream that only opens', { silent: 'middle' as const, deltas: ['a'] }, { first_token_ms: 100 }],
    ['a stream that fails before its first token', { cut: 'error' as const, deltas: ['a'] }, {}],
    ['an answer that takes too long', { silent: 'head' as const }, { total_ms: 100 }],
  ])('%s: the next target answers', async (name, behaviour, timeouts) => {
    await using hub = await startRouter({ one: behaviour, two: {} })
    await hub.alias('fast', { targets: [{ model: 'one', timeouts }, { model: 'two' }] })
    const { by, error, pieces } = await hub.ask('fast', name.includes('stream') ? stream : {})
    expect(error).toBeUndefined()
    expect(by).toBe('two')
    expect(pieces.join('')).toContain('Hello')
    expect(hub.providers.one!.count).toBe(1)
  })

  it('after the first token a failure is the end, not another target’s turn', async () => {
    await using hub = await startRouter({ one: { cut: 'error', deltas: ['a', 'b', 'c'] }, two: {} })
    await hub.alias('fast', two)
    const { by, error, pieces } = await hub.ask('fast', stream)
    expect(error).toMatchObject({ code: 'provider_error', status: 502 })
    expect(by).toBe('one')
    expect(pieces.join('')).toContain('"a"')
    expect(hub.providers.two!.count).toBe(0)
  })

  it('alone it passes on what opens a stream at once: nobody could take over', async () => {
    await using hub = await startRouter({ one: { silent: 'middle', deltas: ['a'] } })
    await hub.alias('fast', { targets: [{ model: 'one', timeouts: { first_token_ms: 200 } }] })
    const { error, pieces, by } = await hub.ask('fast', stream)
    expect(error).toMatchObject({ code: 'provider_timeout', status: 504 })
    expect(by).toBe('one')
    expect(pieces).toHaveLength(1)
  })

  it('the total bounds a stream that goes on for ever', async () => {
    await using hub = await startRouter({ one: { deltas: Array(100).fill('x'), delayMs: 50 } })
    await hub.alias('fast', { targets: [{ model: 'one', timeouts: { total_ms: 300 } }] })
    const { error, pieces } = await hub.ask('fast', stream)
    expect(error).toMatchObject({ code: 'provider_timeout', status: 504 })
    expect(pieces.length).toBeGreaterThan(1)
    await expect.poll(() => hub.providers.one!.aborted).toBe(1)
  })

  it('what is wrong with the request itself is told at once', async () => {
    await using hub = await startRouter({ one: { status: 400 }, two: {} })
    await hub.alias('fast', { ...two, retries: 2 })
    expect((await hub.ask('fast')).error).toMatchObject({ status: 400, code: 'unsupported_value' })
    expect([hub.providers.one!.count, hub.providers.two!.count]).toEqual([1, 0])
  })

  it('all fail: the last one’s error', async () => {
    await using hub = await startRouter({ one: { status: 500 }, two: { status: 503 } })
    await hub.alias('fast', two)
    expect((await hub.ask('fast')).error).toMatchObject({ status: 503, code: 'provider_error' })
  })

  it('a caller who leaves ends it at once, and no target is to blame', async () => {
    await using hub = await startRouter({ one: { silent: 'head' }, two: {} })
    await hub.alias('fast', { ...two, retries: 3 })
    const left = new AbortController()
    setTimeout(() => left.abort(), 100)
    const started = performance.now()
    expect((await hub.ask('fast', { signal: left.signal })).error).toMatchObject({ name: 'AbortError' })
    expect(performance.now() - started).toBeLessThan(500)
    await expect.poll(() => hub.providers.one!.aborted).toBe(1)
    expect(hub.providers.two!.count).toBe(0)
    expect(await hub.breakers.read(breakerOf(hub, 'one'))).toMatchObject({ failed: 0 })
  })
})

describe('retries', () => {
  it('go to the same target, then to the next one', async () => {
    await using hub = await startRouter({ one: { status: 503 }, two: {} })
    await hub.alias('fast', { ...two, retries: 2 })
    expect((await hub.ask('fast')).by).toBe('two')
    expect(hub.providers.one!.count).toBe(3)
  })

  it('wait as long as Retry-After says', async () => {
    const behave = (call: number) => (call === 1 ? { status: 429, retryAfter: '1' } : {})
    await using hub = await startRouter({ one: { behave } })
    await hub.alias('fast', { targets: [{ model: 'one' }], retries: 1 })
    const started = performance.now()
    expect((await hub.ask('fast')).error).toBeUndefined()
    expect(performance.now() - started).toBeGreaterThanOrEqual(1_000)
    expect(hub.providers.one!.count).toBe(2)
  })

  it('do not wait past a bound, nor past the total', async () => {
    await using hub = await startRouter({
      one: { status: 429, retryAfter: '60' },
      two: { status: 503, retryAfter: '2' },
    })
    await hub.alias('fast', {
      targets: [{ model: 'one' }, { model: 'two', timeouts: { total_ms: 1_000 } }],
      retries: 3,
    })
    const started = performance.now()
    expect((await hub.ask('fast')).error).toMatchObject({ status: 503 })
    expect(performance.now() - started).toBeLessThan(1_000)
    expect([hub.providers.one!.count, hub.providers.two!.count]).toEqual([1, 1])
  })

  it('a plain model has none: its clients retry themselves', async () => {
    await using hub = await startRouter({ one: { status: 503 } })
    expect((await hub.ask(hub.modelOf('one'))).error).toMatchObject({ status: 503 })
    expect(hub.providers.one!.count).toBe(1)
  })
})

describe('weights', () => {
  it('hold, and the others stand in for who fails', async () => {
    await using hub = await startRouter({ one: {}, two: {}, down: { status: 500 } }, { random: seeded(7) })
    const targets = [
      { model: 'one', weight: 3 },
      { model: 'two', weight: 1 },
    ]
    await hub.alias('both', { strategy: 'weighted', targets })
    for (let i = 0; i < 200; i++) await hub.ask('both')
    expect(hub.providers.one!.count + hub.providers.two!.count).toBe(200)
    expect(hub.providers.one!.count).toBeGreaterThan(130)
    expect(hub.providers.one!.count).toBeLessThan(170)
    await hub.alias('shaky', {
      strategy: 'weighted',
      targets: [{ model: 'down', weight: 1_000_000 }, { model: 'two' }],
    })
    expect((await hub.ask('shaky')).by).toBe('two')
  })
})

describe('credentials of a tenant’s own', () => {
  it('are used instead of the environment’s, and are no other tenant’s', async () => {
    await using hub = await startRouter({ one: {} })
    const model = hub.modelOf('one')
    const provider = model.split('/')[0]!
    const used = () => hub.providers.one!.requests.map(({ headers }) => headers.authorization)
    const plain = (await hub.router.resolve(hub.tenant, model)).target.scope
    await hub.ask(model)
    await hub.routes.putCredential(hub.tenant, provider, 'a', 'sk-a')
    const own = (await hub.router.resolve(hub.tenant, model)).target.scope
    expect(own).not.toBe(plain)
    expect((await hub.router.resolve('another-tenant', model)).target.scope).toBe(plain)
    await hub.ask(model)
    await hub.routes.deleteCredential(hub.tenant, provider, 'a')
    await hub.ask(model)
    expect(used()).toEqual(['Bearer sk-of-the-environment', 'Bearer sk-a', 'Bearer sk-of-the-environment'])
  })

  it.each([429, 401])('%i of one: the other one answers, and goes first from then on', async (status) => {
    await using hub = await startRouter({ one: { behave: (call) => (call === 1 ? { status } : {}) } })
    const model = hub.modelOf('one')
    const used = () => hub.providers.one!.requests.map(({ headers }) => headers.authorization)
    await hub.routes.putCredential(hub.tenant, model.split('/')[0]!, 'a', 'sk-a')
    await hub.routes.putCredential(hub.tenant, model.split('/')[0]!, 'b', 'sk-b')
    expect((await hub.ask(model)).error).toBeUndefined()
    expect((await hub.ask(model)).error).toBeUndefined()
    expect(used()).toEqual(['Bearer sk-a', 'Bearer sk-b', 'Bearer sk-b'])
    await hub.alias('pinned', { targets: [{ model: 'one', credential: 'a' }] })
    await hub.ask('pinned')
    expect(used().at(-1)).toBe('Bearer sk-a')
  })

  it('that cannot be opened stop the call: the environment’s do not pay for them', async () => {
    await using hub = await startRouter({ one: {} })
    const model = hub.modelOf('one')
    await hub.routes.putCredential(hub.tenant, model.split('/')[0]!, 'a', 'sk-a')
    await hub.redis.wave([
      [
        'HSET',
        `t:${hub.tenant}:credentials`,
        `${model.split('/')[0]}/a`,
        '{"sealed":"v1.x.y","created_at":""}',
      ],
    ])
    await expect(hub.router.resolve(hub.tenant, model)).rejects.toMatchObject({
      code: 'credential_unreadable',
      status: 503,
    })
    expect(hub.providers.one!.count).toBe(0)
  })
})

describe('what an instance knows', () => {
  it('an alias written on one leads on the other within a second, and nobody asks twice in half of one', async () => {
    await using hub = await startRouter({ one: {}, two: {} })
    const other = hub.instance()
    await hub.alias('fast', { targets: [{ model: 'one' }] })
    expect((await other.ask('fast')).by).toBe('one')
    const before = (await other.router.resolve(hub.tenant, 'fast')).target.scope
    expect((await other.router.ask(hub.tenant, 'fast')).calls).toEqual([])
    await hub.alias('fast', { targets: [{ model: 'two' }] })
    const written = performance.now()
    await expect.poll(async () => (await other.ask('fast')).by, { interval: 50 }).toBe('two')
    expect(performance.now() - written).toBeLessThan(1_000)
    expect((await other.router.resolve(hub.tenant, 'fast')).target.scope).not.toBe(before)
    await hub.routes.deleteAlias(hub.tenant, 'fast')
    await sleep(600)
    expect((await other.router.resolve(hub.tenant, 'fast')).target.provider).not.toBe('alias')
  })

  it('lists a tenant’s aliases and what its own credentials open beside the hub’s models', async () => {
    await using hub = await startRouter({ one: {} })
    await hub.alias('fast', { targets: [{ model: 'one' }] })
    await hub.routes.putCredential(hub.tenant, 'openai', 'main', 'sk-own')
    const ids = (await hub.router.models(hub.tenant)).map(({ id }) => id)
    expect(ids).toEqual(expect.arrayContaining(['local/local', 'openai/gpt-4o-mini', 'fast']))
    expect((await hub.router.models('another-tenant')).map(({ id }) => id)).not.toContain('fast')
  })

  it('goes on while Redis is away', async () => {
    let time = 0
    await using hub = await startRouter({ one: {} }, { now: () => time })
    await hub.alias('fast', { targets: [{ model: 'one' }] })
    await hub.router.resolve(hub.tenant, 'fast')
    await hub.redis.close()
    time += 10_000
    expect((await hub.ask('fast')).by).toBe('one')
  })
})

function breakerOf(hub: { modelOf(name: string): string }, name: string) {
  return { tenant: 'default', name: hub.modelOf(name) }
}

/** Mulberry32: the same numbers on every run. */
function seeded(seed: number) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
