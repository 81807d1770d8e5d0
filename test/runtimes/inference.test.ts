import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { sha256Of } from '../../shared/inference/model-store.ts'
import { DEFAULT_TENANT, modelKeys } from '../../shared/keys.ts'
import { send } from '../../shared/send.ts'
import { unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { ADMIN_KEY, startLambdaHub, startNodeHub, startWorkerHub, type TestHub } from '../support/hub.ts'
import { SOFTMAX_OF_1234, softmax } from '../support/models.ts'
import { patient, testRedisUrl } from '../support/redis.ts'

type Start = (env: Record<string, string>) => Promise<TestHub>

const rims: { rim: string; start: Start }[] = [
  { rim: 'Node', start: startNodeHub },
  { rim: 'Workers', start: (env) => startWorkerHub(env, { environment: 'inference' }) },
  { rim: 'Lambda', start: (env) => startLambdaHub(env, { rim: 'lambda-inference' }) },
]
const drivers = ['resp', 'rest'] as const
const cases = rims.flatMap((rim) => drivers.map((driver) => ({ ...rim, driver })))

const redis = patient(createRedisResp({ url: testRedisUrl() }))
let bridge: Awaited<ReturnType<typeof startTestBridge>>
beforeAll(async () => {
  bridge = await startTestBridge({ redisUrl: testRedisUrl() })
})
afterAll(() => Promise.all([bridge?.close(), redis.close()]))

const whereIs = (driver: (typeof drivers)[number]): Record<string, string> =>
  driver === 'resp'
    ? { REDIS_URL: testRedisUrl() }
    : { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }

/** Of the row 0, 0, 0, 0: softmax(b). */
const SOFTMAX_OF_ZEROS = [0.36029661, 0.39818934, 0.24151404]
const close = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 6))
const x = (data: number[], shape = [1, 4]) => ({ name: 'x', shape, datatype: 'FP32', data })

const callerOf = (hub: () => TestHub) => (path: string, init: RequestInit, headers?: object) =>
  fetch(`${hub().url}/v2/models/${path}`, {
    ...init,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, ...headers },
  })
const MODEL = { method: 'PUT', body: softmax as BodyInit }
const OCTETS = { 'content-type': 'application/octet-stream' }
const JSON_TYPE = { 'content-type': 'application/json' }

describe.each(cases)('inference on $rim over $driver', ({ start, driver }) => {
  let hub: TestHub
  beforeAll(async () => {
    const HUB_MODEL_MEMORY_BYTES = String(1.5 * 2 ** 20) // of one model
    hub = await start({ ...whereIs(driver), HUB_MODEL_MEMORY_BYTES })
  })
  afterAll(() => hub?.stop())

  const call = callerOf(() => hub)
  async function upload(name = unique('model'), version = '1') {
    const reply = await call(`${name}/versions/${version}`, MODEL, OCTETS)
    expect([reply.status, await reply.json()]).toMatchObject([
      201,
      { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }], max_batch: 64 },
    ])
    return name
  }
  async function infer(name: string, input: object, signal?: AbortSignal) {
    const body = JSON.stringify({ inputs: [input] })
    const reply = await call(`${name}/infer`, { method: 'POST', body, signal }, JSON_TYPE)
    return { status: reply.status, body: await reply.json() }
  }
  const outputs = (body: { outputs: { data: number[] }[] }) => body.outputs.map(({ data }) => data)

  test('the worked example, in JSON and in bytes', async () => {
    const name = await upload()
    const { status, body } = await infer(name, x([1, 2, 3, 4, 0, 0, 0, 0], [2, 4]))
    expect([status, body]).toMatchObject([
      200,
      { model_name: name, model_version: '1', outputs: [{ name: 'y', datatype: 'FP32', shape: [2, 3] }] },
    ])
    expect(outputs(body)).toEqual([close([...SOFTMAX_OF_1234, ...SOFTMAX_OF_ZEROS])])

    const { data, ...tensor } = x([1, 2, 3, 4])
    const asked = { binary_data: true }
    const head = JSON.stringify({
      inputs: [{ ...tensor, parameters: { binary_data_size: 16 } }],
      outputs: [{ name: 'y', parameters: asked }],
    })
    const reply = await call(
      `${name}/infer`,
      { method: 'POST', body: new Blob([head, Float32Array.from(data)]) },
      { ...OCTETS, 'inference-header-content-length': String(head.length) },
    )
    expect(reply.status).toBe(200)
    const bytes = await reply.arrayBuffer()
    const length = Number(reply.headers.get('inference-header-content-length'))
    expect(JSON.parse(new TextDecoder().decode(bytes.slice(0, length)))).toMatchObject({
      outputs: [{ name: 'y', shape: [1, 3], parameters: { binary_data_size: 12 } }],
    })
    expect([...new Float32Array(bytes.slice(length))]).toEqual(close(SOFTMAX_OF_1234))
  })

  test('a label leads to another version, and what is wrong is said', async () => {
    const name = await upload()
    await upload(name, '2')
    const label = (version: string) =>
      call(`${name}/labels/stable`, { method: 'PUT', body: JSON.stringify({ version }) }, JSON_TYPE)
    const answering = async () => (await infer(name, x([1, 2, 3, 4]))).body.model_version
    expect(await answering()).toBe('2')
    for (const version of ['1', '2']) {
      expect((await label(version)).status).toBe(200)
      await expect.poll(answering).toBe(version)
    }
    expect(await infer(name, x([1, 2, 3], [1, 3]))).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_tensor', param: 'inputs[0]' } },
    })
    expect(await infer(unique('nothing'), x([1, 2, 3, 4]))).toMatchObject({
      status: 404,
      body: { error: { code: 'model_not_found' } },
    })
  })

  test('a model is read once, and stays for the requests after it', async () => {
    const name = await upload()
    const ask = () => infer(name, x([1, 2, 3, 4]))
    // The first ones find nothing loaded; one of them leaves.
    const leaving = new AbortController()
    const left = infer(name, x([1, 2, 3, 4]), leaving.signal).catch((error) => error.name)
    const first = [ask(), ask()]
    leaving.abort()
    expect(await left).toBe('AbortError')
    for (const { body } of await Promise.all(first)) expect(outputs(body)).toEqual([close(SOFTMAX_OF_1234)])

    const { blob } = modelKeys(DEFAULT_TENANT, name, '1')
    expect(await send(redis, ['DEL', blob(sha256Of(softmax))])).toBe(1)
    for (const row of [1, 2, 3]) {
      expect([row, (await ask()).status]).toEqual([row, 200])
    }
  })
})

test.each(drivers)('Lambda without ONNX Runtime says where models run, over %s', async (driver) => {
  await using hub = await startLambdaHub(whereIs(driver))
  const path = `${unique('model')}/versions/1`
  const reply = await callerOf(() => hub)(path, MODEL, OCTETS)
  expect([reply.status, await reply.json()]).toMatchObject([
    503,
    { error: { code: 'runtime_unavailable', message: expect.stringContaining('ONNX Runtime') } },
  ])
})
