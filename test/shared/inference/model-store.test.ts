import { randomBytes } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { createRuntimeOnnx } from '../../../shared/drivers/runtime-onnx.ts'
import { RedisUnavailableError } from '../../../shared/errors.ts'
import { createModelStore, sha256Of } from '../../../shared/inference/model-store.ts'
import { modelKeys } from '../../../shared/keys.ts'
import type { Redis } from '../../../shared/ports/redis.ts'
import { unique } from '../../support/app.ts'
import { startTestBridge } from '../../support/bridge.ts'
import { logarithm, softmax, startInference } from '../../support/models.ts'
import { patient, testRedisUrl } from '../../support/redis.ts'

const redis = patient(createRedisResp({ url: testRedisUrl() }))
const runtime = createRuntimeOnnx()
afterAll(() => Promise.all([redis.close(), runtime.close()]))

const described = { format: 'onnx', inputs: [], outputs: [], maxBatch: 1 } as const

/** Dies before a call of this script or command. */
const dying = (redis: Redis, before: string): Redis => ({
  ...redis,
  async wave(calls, options) {
    const [call] = calls
    if ('script' in call! ? call.script.name === before : call?.[0] === before) {
      throw new RedisUnavailableError('It died')
    }
    return redis.wave(calls, options)
  },
})

describe('the model store', () => {
  it('keeps several parts, whatever their bytes, over HTTP too', async () => {
    const bridge = await startTestBridge({ redisUrl: testRedisUrl() })
    const { createRedisRest } = await import('../../../shared/drivers/redis-rest.ts')
    const rest = patient(createRedisRest(bridge))
    const store = createModelStore({ redis: rest, clock: Date })
    const bytes = randomBytes(2_000_000)
    const ref = { tenant: unique('tenant'), name: 'large', version: '1', sha256: sha256Of(bytes) }
    expect(await store.write(ref, bytes, described)).toBe('made')
    expect(Buffer.from(await store.readBytes(ref, bytes.length)).equals(bytes)).toBe(true)
    expect(await store.find(ref)).toMatchObject({ size: 2_000_000, sha256: ref.sha256 })
    expect(await store.remove(ref)).toBe(true)
    await expect(store.readBytes(ref, bytes.length)).rejects.toMatchObject({ code: 'model_corrupt' })
    await rest.close()
    await bridge.close()
  })

  it('an upload that died is not seen, leaves nothing for long, and can be made again', async () => {
    const tenant = unique('tenant')
    for (const before of ['commit-model', 'replace-field']) {
      const { models } = startInference({ redis: dying(redis, before), runtime })
      await expect(models.put(tenant, 'm', '1', { format: 'onnx', bytes: softmax })).rejects.toThrow()
      const { models: other } = startInference({ redis, runtime })
      await expect(other.describe(tenant, 'm', '1')).rejects.toMatchObject({ code: 'model_not_found' })
      expect(await other.list(tenant)).toEqual([])
      if (before === 'commit-model') {
        const blob = modelKeys(tenant, 'm', '1').blob(sha256Of(softmax))
        expect((await redis.wave([['TTL', blob]]))[0]).toBeGreaterThan(0)
      }
    }
    const { models } = startInference({ redis, runtime })
    await models.put(tenant, 'm', '1', { format: 'onnx', bytes: softmax })
    expect(await models.describe(tenant, 'm')).toMatchObject({ version: '1', size: 260 })
    await models.delete(tenant, 'm', '1')
    expect((await redis.wave([['EXISTS', modelKeys(tenant, 'm', '1').model]]))[0]).toBe(0)
  })

  it('of two who upload a version at once one wins, and its bytes are whole', async () => {
    const tenant = unique('tenant')
    const { models, store } = startInference({ redis, runtime })
    const put = (bytes: Uint8Array) => models.put(tenant, 'm', '1', { format: 'onnx', bytes })
    const outcomes = await Promise.allSettled([put(logarithm(1)), put(logarithm(2)), put(logarithm(1))])
    const lost = outcomes.filter(({ status }) => status === 'rejected')
    expect(lost.length).toBeGreaterThan(0)
    for (const { reason } of lost as PromiseRejectedResult[]) {
      expect(reason).toMatchObject({ code: 'version_exists', status: 409 })
    }
    const { sha256, size } = await models.describe(tenant, 'm', '1')
    const bytes = await store.readBytes({ tenant, name: 'm', version: '1', sha256 }, size)
    expect(sha256Of(bytes)).toBe(sha256)
  })

  it('versions and labels that are changed at once are all there', async () => {
    const tenant = unique('tenant')
    const { models } = startInference({ redis, runtime })
    const versions = Array.from({ length: 6 }, (_, n) => String(n + 1))
    await Promise.all(
      versions.map((version) => models.put(tenant, 'm', version, { format: 'onnx', bytes: softmax })),
    )
    await Promise.all(versions.map((version) => models.label(tenant, 'm', `at-${version}`, version)))
    const found = await models.describe(tenant, 'm')
    expect(found.versions).toEqual([...versions].reverse())
    expect(Object.values(found.labels).sort()).toEqual(versions)
  })
})
