import { expect, it } from 'vitest'
import { readEnv } from '../../infra/env.ts'
import { wireInference } from '../../infra/wire-inference.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRuntimeOnnx } from '../../shared/drivers/runtime-onnx.ts'
import { unique } from '../support/app.ts'
import { counting, logarithm, rows } from '../support/models.ts'
import { patient, testRedisUrl } from '../support/redis.ts'

/** One instance of a hub. */
function start() {
  const redis = patient(createRedisResp({ url: testRedisUrl() }))
  const { runtime, loads } = counting(createRuntimeOnnx())
  const log = { info() {}, error() {} }
  const rim = { sharesRequests: true, tallyDelayMs: 0, modelRuntime: runtime, log }
  const usage = { record: () => undefined, read: async () => [] }
  const wired = wireInference({ redis, usage, rim, env: readEnv({}), clock: Date })
  return {
    ...{ ...wired, loads },
    [Symbol.asyncDispose]: async () => void (await Promise.all([wired.close(), redis.close()])),
  }
}

it('an instance hears of a new version and loads it before anybody asks for it', async () => {
  await using here = start()
  await using there = start()
  const stopping = new AbortController()
  const hearing = there.run(stopping.signal)
  const tenant = unique('tenant')
  const put = (version: number) =>
    here.deps.models.put(tenant, 'm', String(version), { format: 'onnx', bytes: logarithm(version) })
  await put(1)
  await there.deps.infer(tenant, 'm', undefined, rows(2, 1, 1))
  // What is published before it listens is not heard.
  let version = 1
  await expect
    .poll(
      async () => {
        if (there.loads.length === 1) await put(++version)
        return there.loads.length
      },
      { interval: 200, timeout: 10_000 },
    )
    .toBeGreaterThan(1)
  const answering = async () => (await there.deps.infer(tenant, 'm', undefined, rows(2, 1, 1))).version
  await expect.poll(answering, { timeout: 10_000 }).not.toBe('1')
  stopping.abort()
  await hearing
})
