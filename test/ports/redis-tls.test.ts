import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { RedisUnavailableError } from '../../shared/errors.ts'
import { selfSigned } from '../support/certificate.ts'
import { startTestRedis } from '../support/redis.ts'

let server: Awaited<ReturnType<typeof startTestRedis>>
let authority: string
beforeAll(async () => {
  const tls = await selfSigned()
  server = await startTestRedis({
    tls,
    config: 'user app on >of-the-app ~app:* &* +@read +@write -@dangerous',
  })
  authority = join(server.directory, 'ca.pem')
  await writeFile(authority, tls.ca)
})
afterAll(() => server.stop())

/** What a process of its own gets: which authorities it trusts is settled when Node starts. */
async function ask(url: string, trusted: boolean) {
  const driver = new URL('../../shared/drivers/redis-resp.ts', import.meta.url).href
  const code = `
    const { createRedisResp } = await import(${JSON.stringify(driver)})
    const redis = createRedisResp({ url: process.env.TEST_URL })
    const calls = [['SET', 'app:k', 'é'], ['GET', 'app:k'], ['GET', 'other'], ['FLUSHALL']]
    const shown = (reply) => (reply instanceof Error ? reply.code : reply)
    console.log(JSON.stringify(await redis.wave(calls, { timeoutMs: 5_000 }).then((all) => all.map(shown), (error) => error.message)))
    await redis.close()`
  const env = { ...process.env, TEST_URL: url, NODE_EXTRA_CA_CERTS: trusted ? authority : '' }
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { env })
  return JSON.parse(stdout)
}

test('rediss:// with an ACL user, its authority by NODE_EXTRA_CA_CERTS', async () => {
  const url = server.url.replace(/\/\/[^@]*@/, '//app:of-the-app@')
  expect(await ask(url, true)).toEqual(['OK', 'é', 'NOPERM', 'NOPERM'])
})

test('an authority that nobody trusts is refused, and so is plain text', async () => {
  expect(await ask(server.url, false)).toMatch(/^No connection to Redis at 127\.0\.0\.1:\d+: .*certificate/)
  const plain = createRedisResp({ url: server.url.replace('rediss:', 'redis:'), onError() {} })
  const refused = plain.wave([['PING']], { timeoutMs: 5_000 })
  await expect(refused).rejects.toBeInstanceOf(RedisUnavailableError)
  await plain.close()
})
