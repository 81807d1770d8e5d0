import { describe, expect, it } from 'vitest'
import { readEnv } from '../../infra/env.ts'
import { startApp } from '../support/app.ts'

describe('the environment', () => {
  it('names every bad variable at once, and shows no secret', () => {
    const bad = {
      PORT: 'http',
      REDIS_URL: 'localhost:6379',
      UPSTASH_REDIS_REST_URL: 'https://x.upstash.io',
      HUB_ADMIN_KEY: 'hub_short',
      HUB_PROVIDERS: '{"a":',
      HUB_REDIS_DOWN: 'maybe',
    }
    const read = () => readEnv(bad)
    for (const name of ['PORT', 'REDIS_URL', 'HUB_ADMIN_KEY', 'HUB_PROVIDERS', 'HUB_REDIS_DOWN']) {
      expect(read).toThrow(new RegExp(`^  ${name}: `, 'm'))
    }
    expect(read).not.toThrow(/hub_short/)
  })

  it('asks for the token of an HTTP Redis', () => {
    expect(() => readEnv({ UPSTASH_REDIS_REST_URL: 'https://x.upstash.io' })).toThrow(
      'UPSTASH_REDIS_REST_TOKEN',
    )
    expect(() => readEnv({ HUB_CACHE_REDIS_URL: 'https://x.upstash.io' })).toThrow('HUB_CACHE_REDIS_TOKEN')
  })

  it('wants both of Upstash Vector’s variables, or neither', () => {
    const url = { UPSTASH_VECTOR_REST_URL: 'https://x-vector.upstash.io' }
    const token = { UPSTASH_VECTOR_REST_TOKEN: 'a-token' }
    expect(() => readEnv(url)).toThrow('UPSTASH_VECTOR_REST_TOKEN: is missing')
    expect(() => readEnv(token)).toThrow('UPSTASH_VECTOR_REST_URL: is missing')
    expect(readEnv({ ...url, ...token })).toMatchObject({ ...url, ...token })
  })

  it('takes an empty variable for an unset one', () => {
    expect(readEnv({ REDIS_URL: '', FUNCTIONS: '', PORT: '' })).toMatchObject({ PORT: 8787 })
  })
})

describe('FUNCTIONS', () => {
  it('serves a subset, the health routes always', async () => {
    await using hub = await startApp({ env: { FUNCTIONS: 'keys' } })
    expect((await hub.get('/v1/keys')).status).toBe(200)
    expect((await hub.get('/v1/models')).status).toBe(404)
    expect((await hub.get('/healthz')).status).toBe(200)
  })

  it('an unknown name stops the start and names those that there are', async () => {
    await expect(startApp({ env: { FUNCTIONS: 'keys,cache-compleat' } })).rejects.toThrow(
      /cache-compleat.*cache-complete, .*keys/,
    )
  })
})
