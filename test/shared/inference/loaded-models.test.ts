import { afterAll, describe, expect, it } from 'vitest'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { createRuntimeOnnx } from '../../../shared/drivers/runtime-onnx.ts'
import { runModel } from '../../../shared/inference/run-model.ts'
import { unique } from '../../support/app.ts'
import { counting, logarithm, rows, softmax, startInference } from '../../support/models.ts'
import { patient, testRedisUrl } from '../../support/redis.ts'

const redis = patient(createRedisResp({ url: testRedisUrl() }))
const runtime = createRuntimeOnnx()
afterAll(() => Promise.all([redis.close(), runtime.close()]))

/** Models `a`, `b`, `c` of a tenant, and a process that has just started. */
async function start(options: { fitting?: number } = {}) {
  const tenant = unique('tenant')
  const { models } = startInference({ redis, runtime })
  const bytes = { a: logarithm(1), b: logarithm(2), c: logarithm(3) }
  for (const [name, own] of Object.entries(bytes)) {
    await models.put(tenant, name, '1', { format: 'onnx', bytes: own })
  }
  const probe = await runtime.load({ key: 'probe', format: 'onnx', bytes: bytes.a })
  await probe.close()
  const counted = counting(runtime)
  const memoryBytes = probe.memoryBytes * (options.fitting ?? 3) || 1
  const process = startInference({ redis, runtime: counted.runtime, memoryBytes })
  const nameOf = (key: string) => key.split('/')[1]
  return {
    ...{ tenant, ...process },
    acquire: (name: string) => process.serving.acquire(tenant, name),
    loads: () => counted.loads.map(nameOf),
    closed: () => counted.closed.map(nameOf),
  }
}

describe('loaded models', () => {
  it('are loaded once for all who ask at the same time', async () => {
    const { acquire, loads } = await start()
    const leases = await Promise.all(Array.from({ length: 20 }, () => acquire('a')))
    expect(loads()).toEqual(['a'])
    for (const { release } of leases) release()
  })

  it('the least recently used one makes room', async () => {
    const { acquire, loads, closed } = await start({ fitting: 2 })
    for (const name of ['a', 'b', 'a', 'c', 'a', 'b']) (await acquire(name)).release()
    expect(loads()).toEqual(['a', 'b', 'c', 'b'])
    expect(closed()).toEqual(['b', 'c'])
  })

  it('one that is evicted in use ends its calls first', async () => {
    const { acquire, closed } = await start({ fitting: 1 })
    const lease = await acquire('a')
    const second = await acquire('a')
    ;(await acquire('b')).release()
    expect(closed()).toEqual([])
    const outputs = await runModel(lease, rows(2, Math.E, 1))
    expect([...outputs.get('y')!.data]).toEqual([expect.closeTo(1, 6), 0])
    lease.release()
    lease.release() // twice is once
    expect(closed()).toEqual([])
    second.release()
    expect(closed()).toEqual(['a'])
  })

  it('one that is larger than all the memory is refused, and names the variable', async () => {
    const { acquire, loads } = await start({ fitting: 0 })
    await expect(acquire('a')).rejects.toMatchObject({
      ...{ code: 'model_too_large', status: 507 },
      message: expect.stringContaining('HUB_MODEL_MEMORY_BYTES'),
    })
    expect(loads()).toEqual([])
    const { models, tenant } = await start({ fitting: 0 })
    await expect(models.put(tenant, 'd', '1', { format: 'onnx', bytes: softmax })).rejects.toMatchObject({
      code: 'model_too_large',
    })
    await expect(models.describe(tenant, 'd')).rejects.toMatchObject({ status: 404 })
  })

  it('all are closed in the end', async () => {
    const { acquire, loaded, closed } = await start()
    for (const name of ['a', 'b']) (await acquire(name)).release()
    await loaded.close()
    expect(closed().sort()).toEqual(['a', 'b'])
  })
})
