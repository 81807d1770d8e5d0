import { afterAll, describe, expect, it } from 'vitest'
import { createRedisResp } from '../../../shared/drivers/redis-resp.ts'
import { createRuntimeOnnx } from '../../../shared/drivers/runtime-onnx.ts'
import { modelKeys } from '../../../shared/keys.ts'
import type { ModelRuntime } from '../../../shared/ports/model-runtime.ts'
import { unique } from '../../support/app.ts'
import { logarithm, rows, startInference } from '../../support/models.ts'
import { patient, testRedisUrl } from '../../support/redis.ts'

const redis = patient(createRedisResp({ url: testRedisUrl() }))
const runtime = createRuntimeOnnx()
afterAll(() => Promise.all([redis.close(), runtime.close()]))

/** Two instances of a hub, and a model whose version n answers n. */
async function start(other: ModelRuntime = runtime) {
  const tenant = unique('tenant')
  const here = startInference({ redis, runtime })
  const there = startInference({ redis, runtime: other })
  const put = (version: number) =>
    here.models.put(tenant, 'm', String(version), { format: 'onnx', bytes: logarithm(version) })
  await put(1)
  const ask = async (infer = there.infer) => {
    const { version, outputs } = await infer(tenant, 'm', undefined, rows(2, Math.E, 1))
    expect(outputs.get('y')!.data[0]).toBeCloseTo(Number(version), 4)
    return version
  }
  return { tenant, here, there, put, ask }
}

/** Loads no model until it is opened. */
function gated() {
  const { promise, resolve } = Promise.withResolvers<void>()
  const held: ModelRuntime = {
    ...runtime,
    async load(file, options) {
      if (!file.key.includes('/1/')) await promise
      return runtime.load(file, options)
    },
  }
  return { runtime: held, open: resolve }
}

describe('a new version', () => {
  it('answers at once where it was uploaded, and elsewhere once it is loaded, with no request dropped', async () => {
    const { runtime, open } = gated()
    const { tenant, here, there, put, ask } = await start(runtime)
    expect(await ask()).toBe('1')
    expect(await ask(here.infer)).toBe('1')
    await put(2)
    expect(await ask(here.infer)).toBe('2')
    const heard = there.serving.onChanged(tenant, 'm')
    for (let n = 0; n < 5; n++) expect(await ask()).toBe('1')
    open()
    await heard
    expect(await ask()).toBe('2')
    expect(there.lines.filter(({ msg }) => msg === 'A model is loaded')).toHaveLength(1)
  })

  it('is found without being told of it', async () => {
    const { put, ask } = await start()
    expect(await ask()).toBe('1')
    await put(2)
    await expect.poll(() => ask(), { timeout: 5_000 }).toBe('2')
  })

  it('that cannot be loaded leaves the one before it in its place, and says so', async () => {
    const { tenant, there, put, ask } = await start()
    expect(await ask()).toBe('1')
    const { model } = await put(2)
    await redis.wave([['DEL', modelKeys(tenant, 'm', '2').blob(model.sha256)]])
    await there.serving.onChanged(tenant, 'm')
    expect(await ask()).toBe('1')
    expect(there.lines).toContainEqual(expect.objectContaining({ from: '1', to: '2' }))
  })

  it('a version that was deleted answers nobody, though it is loaded', async () => {
    const { tenant, here, there, put, ask } = await start()
    await put(2)
    expect(await ask()).toBe('2')
    await here.models.delete(tenant, 'm', '2')
    await there.serving.onChanged(tenant, 'm')
    expect(await ask()).toBe('1')
    await expect(there.infer(tenant, 'm', '2', rows(2, 1, 1))).rejects.toMatchObject({ status: 404 })
  })
})
