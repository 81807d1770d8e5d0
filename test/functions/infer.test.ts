import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildOnnx } from '../../infra/examples/onnx-builder.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRuntimeOnnx } from '../../shared/drivers/runtime-onnx.ts'
import { modelKeys } from '../../shared/keys.ts'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { counting, logarithm, SOFTMAX_OF_1234, softmax } from '../support/models.ts'
import { patient, testRedisUrl } from '../support/redis.ts'

const HUB_ADMIN_KEY = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${HUB_ADMIN_KEY}` }
const redis = patient(createRedisResp({ url: testRedisUrl() }))
const counted = counting(createRuntimeOnnx())

let hub: TestApp
beforeAll(async () => {
  const env = { HUB_ADMIN_KEY, HUB_MODEL_MAX_BYTES: '100000' }
  hub = await startApp({ env, modelRuntime: counted.runtime })
})
afterAll(() => Promise.all([hub[Symbol.asyncDispose](), redis.close()]))

type Headers = Record<string, string>

const put = (path: string, body: Uint8Array, headers: Headers = admin) =>
  hub.request(`/v2/models/${path}`, {
    method: 'PUT',
    body: body as BodyInit,
    headers: { 'content-type': 'application/octet-stream', ...headers },
  })

async function upload(bytes: Uint8Array = softmax, version = '1', headers: Headers = admin) {
  const name = unique('model')
  expect((await put(`${name}/versions/${version}`, bytes, headers)).status).toBe(201)
  return name
}

const x = (data: unknown, shape = [1, 4], datatype = 'FP32') => ({ name: 'x', shape, datatype, data })

const ask = (path: string, body: unknown, headers: Headers = admin) =>
  hub.send('POST', `/v2/models/${path}/infer`, body, headers)

async function failure(response: Promise<Response>) {
  const reply = await response
  const { error } = await reply.json()
  return { status: reply.status, code: error.code, param: error.param, message: error.message }
}

/** A request in two parts, and the reply's two parts. */
async function askBinary(path: string, request: unknown, bytes: Uint8Array) {
  const head = new TextEncoder().encode(JSON.stringify(request))
  const reply = await hub.request(`/v2/models/${path}/infer`, {
    method: 'POST',
    body: new Blob([head, bytes as BlobPart]),
    headers: { ...admin, 'inference-header-content-length': String(head.length) },
  })
  const body = new Uint8Array(await reply.arrayBuffer())
  const length = Number(reply.headers.get('inference-header-content-length') ?? body.length)
  const json = JSON.parse(new TextDecoder().decode(body.subarray(0, length)))
  return { status: reply.status, type: reply.headers.get('content-type'), json, bytes: body.slice(length) }
}

const close = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 6))

describe('models', () => {
  it('are uploaded once, described, and never change', async () => {
    const name = await upload()
    const described = await hub.get(`/v2/models/${name}`, admin)
    expect(await described.json()).toMatchObject({
      ...{ name, versions: ['1'], version: '1', default_version: '1', labels: {}, platform: 'onnx_onnxv1' },
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 3] }],
      ...{ size: 260, max_batch: 64 },
    })
    expect((await put(`${name}/versions/1`, softmax)).status).toBe(200)
    expect(await failure(put(`${name}/versions/1`, logarithm()))).toMatchObject({
      ...{ status: 409, code: 'version_exists' },
    })
    const { data } = await (await hub.get('/v2/models', admin)).json()
    expect(data).toContainEqual({ name, versions: ['1'], labels: {}, default_version: '1' })
  })

  it('are refused with the runtime’s words where they are none', async () => {
    const name = unique('model')
    const refused = await failure(put(`${name}/versions/1`, new TextEncoder().encode('no model')))
    expect(refused).toMatchObject({ status: 422, code: 'invalid_model' })
    expect(await failure(put(`${name}/versions/1`, new Uint8Array()))).toMatchObject({ status: 400 })
    expect((await hub.get(`/v2/models/${name}`, admin)).status).toBe(404)
  })

  it('have a bound of their own, which is not that of other bodies', async () => {
    const large = await failure(put(`${unique('model')}/versions/1`, new Uint8Array(100_001)))
    expect(large).toMatchObject({ status: 413, code: 'body_too_large' })
    expect(large.message).toContain('HUB_MODEL_MAX_BYTES')
    await using small = await startApp({
      env: { HUB_MAX_BODY_BYTES: '1024' },
      modelRuntime: createRuntimeOnnx(),
    })
    const body = new Blob([padded(5_000) as BlobPart]).stream()
    const init = { method: 'PUT', body, duplex: 'half', headers: { host: 'localhost' } } as RequestInit
    expect((await small.request(`/v2/models/${unique('model')}/versions/1`, init)).status).toBe(201)
  })

  it('are the tenant’s own, and only admins upload them', async () => {
    const tenant = unique('tenant')
    const [member, owner, stranger] = await Promise.all([
      keyOf(tenant, ['infer']),
      keyOf(tenant, ['infer', 'admin']),
      keyOf(unique('tenant'), ['infer']),
    ])
    const name = await upload(softmax, '1', owner)
    const inputs = { inputs: [x([1, 2, 3, 4])] }
    expect((await ask(name, inputs, member)).status).toBe(200)
    expect(await failure(ask(name, inputs, stranger))).toMatchObject({ status: 404, code: 'model_not_found' })
    expect((await hub.get(`/v2/models/${name}`, stranger)).status).toBe(404)
    expect(await failure(put(`${name}/versions/2`, softmax, member))).toMatchObject({
      ...{ status: 403, code: 'scope_missing' },
    })
    const embedder = await keyOf(tenant, ['embed'])
    expect((await ask(name, inputs, embedder)).status).toBe(403)
    expect((await ask(name, inputs, {})).status).toBe(401)
  })

  it('answer by the greatest version, or the one that `stable` leads to', async () => {
    const name = await upload(logarithm(9), '9')
    await put(`${name}/versions/10`, logarithm(10))
    const versionOf = async (path = name) =>
      (await (await ask(path, { inputs: [x([1, 1], [1, 2])] })).json()).model_version
    expect(await versionOf()).toBe('10')
    const label = (label: string, version: string) =>
      hub.send('PUT', `/v2/models/${name}/labels/${label}`, { version }, admin)
    expect(await (await label('stable', '9')).json()).toEqual({ name, label: 'stable', version: '9' })
    expect(await versionOf()).toBe('9')
    await label('canary', '10')
    expect(await versionOf(`${name}/versions/canary`)).toBe('10')
    expect(await failure(label('stable', '11'))).toMatchObject({
      ...{ status: 404, code: 'model_version_not_found' },
    })
    expect(await failure(label('9', '10'))).toMatchObject({ status: 409, code: 'name_taken' })
    const remove = (path: string) => hub.delete(`/v2/models/${name}/${path}`, admin)
    expect(await failure(remove('versions/9'))).toMatchObject({ status: 409, code: 'version_in_use' })
    expect((await remove('labels/stable')).status).toBe(204)
    expect((await remove('versions/9')).status).toBe(204)
    expect((await remove('versions/9')).status).toBe(404)
    expect((await ask(`${name}/versions/9`, { inputs: [x([1, 1], [1, 2])] })).status).toBe(404)
    expect((await put(`${name}/versions/9`, softmax)).status).toBe(201)
  })

  it('whose bytes were changed in Redis are refused, and serve again once they are whole', async () => {
    const name = await upload(logarithm(77))
    const { model, blob } = modelKeys('default', name, '1')
    const sha256 = (await redis.wave([['HGET', model, 'sha256']]))[0] as string
    const bytes = logarithm(78)
    await redis.wave([['HSET', blob(sha256), 0, Buffer.from(bytes).toString('base64')]])
    const request = { inputs: [x([1, 1], [1, 2])] }
    expect(await failure(ask(name, request))).toMatchObject({ status: 500, code: 'model_corrupt' })
    await redis.wave([['DEL', blob(sha256)]])
    expect(await failure(hub.get(`/v2/models/${name}/ready`, admin))).toMatchObject({ code: 'model_corrupt' })
    expect((await put(`${name}/versions/1`, logarithm(77))).status).toBe(200)
    expect((await ask(name, request)).status).toBe(200)
    expect((await redis.wave([['TTL', blob(sha256)]]))[0]).toBe(-1)
  })
})

describe('inference in JSON', () => {
  let name: string
  beforeAll(async () => {
    name = await upload()
  })

  it('answers the worked example, flat or nested, and gives the id back', async () => {
    const reply = await ask(name, { id: 'a-1', inputs: [x([1, 2, 3, 4])] })
    expect(reply.headers.get('content-type')).toBe('application/json')
    expect(await reply.json()).toEqual({
      ...{ model_name: name, model_version: '1', id: 'a-1' },
      outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 3], data: close(SOFTMAX_OF_1234) }],
    })
    const rows = [
      [1, 2, 3, 4],
      [0, 0, 0, 0],
    ]
    const nested = await ask(`${name}/versions/1`, { inputs: [x(rows, [2, 4])], outputs: [{ name: 'y' }] })
    const { outputs } = await nested.json()
    expect(outputs[0]).toEqual({
      ...{ name: 'y', datatype: 'FP32', shape: [2, 3] },
      data: close([...SOFTMAX_OF_1234, 0.36029661, 0.39818934, 0.24151404]),
    })
  })

  it.each([
    ['a wrong length', x([1, 2, 3]), 'inputs[0].data'],
    ['a wrong shape', x([1, 2, 3], [1, 3]), 'inputs[0]'],
    ['a wrong rank', x([1, 2, 3, 4], [4]), 'inputs[0]'],
    ['a wrong type', x([1, 2, 3, 4], [1, 4], 'INT32'), 'inputs[0]'],
    ['an unknown type', x([1, 2, 3, 4], [1, 4], 'FP8'), 'inputs[0].datatype'],
    ['texts', x(['a', 'b', 'c', 'd'], [1, 4], 'BYTES'), 'inputs[0].datatype'],
    ['a text among numbers', x([1, 2, '3', 4]), 'inputs[0].data'],
    ['null among numbers', x([1, 2, null, 4]), 'inputs[0].data'],
    ['a number that overflows', x([1, 2, 1e300, 4]), 'inputs[0].data'],
    ['a fraction among integers', x([1.5], [1], 'INT8'), 'inputs[0].data'],
    ['an integer out of range', x([128], [1], 'INT8'), 'inputs[0].data'],
    ['half precision', x([1], [1], 'FP16'), 'inputs[0].data'],
    ['wrong nesting', x([[1, 2], [3], [4]], [2, 2]), 'inputs[0].data'],
    ['a negative shape', x([1], [-1]), 'inputs[0].shape[0]'],
    ['no data', { ...x([]), data: undefined }, 'inputs[0].data'],
    ['an unknown input', { ...x([1, 2, 3, 4]), name: 'z' }, 'inputs'],
    [
      'bytes that are not there',
      { ...x(0), data: undefined, parameters: { binary_data_size: 16 } },
      'inputs[0].parameters.binary_data_size',
    ],
  ])('%s is 400', async (_, input, param) => {
    expect(await failure(ask(name, { inputs: [input] }))).toMatchObject({ status: 400, param })
  })

  it('NaN is no JSON', async () => {
    const text = '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,NaN,4]}]}'
    expect(await failure(ask(name, text))).toMatchObject({ status: 400, code: 'invalid_json' })
  })

  it('asks for outputs that are there, and for models and versions that are there', async () => {
    const inputs = [x([1, 2, 3, 4])]
    expect(await failure(ask(name, { inputs, outputs: [{ name: 'z' }] }))).toMatchObject({
      ...{ status: 400, code: 'invalid_tensor', param: 'outputs[0].name' },
    })
    expect(await failure(ask('none', { inputs }))).toMatchObject({ status: 404, code: 'model_not_found' })
    expect(await failure(ask(`${name}/versions/2`, { inputs }))).toMatchObject({
      ...{ status: 404, code: 'model_version_not_found' },
    })
    expect(await failure(ask('a%20b', { inputs }))).toMatchObject({ status: 400, param: 'model' })
    const form = { ...admin, 'content-type': 'application/x-www-form-urlencoded' }
    expect((await ask(name, { inputs }, form)).status).toBe(415)
  })

  it('says that JSON has no NaN where an output holds one, and gives it as bytes', async () => {
    const logs = await upload(logarithm())
    const inputs = [x([-1, 1], [1, 2])]
    const refused = await failure(ask(logs, { inputs }))
    expect(refused).toMatchObject({ status: 422, code: 'not_a_number', param: 'outputs' })
    expect(refused.message).toMatch(/output y .*binary_data/)
    const binary = await ask(logs, { inputs, parameters: { binary_data_output: true } })
    const length = Number(binary.headers.get('inference-header-content-length'))
    const bytes = new Uint8Array(await binary.arrayBuffer()).slice(length)
    expect([...new Float32Array(bytes.buffer)]).toEqual([Number.NaN, 0])
  })

  it('keeps 64-bit integers exact in both directions, and truths true', async () => {
    const same = await upload(
      buildOnnx({
        inputs: [
          { name: 'n', type: 'INT64', shape: [2] },
          { name: 't', type: 'BOOL', shape: [2] },
        ],
        outputs: [
          { name: 'm', type: 'INT64', shape: [2] },
          { name: 'u', type: 'BOOL', shape: [2] },
        ],
        nodes: [
          { op: 'Identity', inputs: ['n'], outputs: ['m'] },
          { op: 'Not', inputs: ['t'], outputs: ['u'] },
        ],
      }),
    )
    const n = '{"name":"n","shape":[2],"datatype":"INT64","data":[9007199254740993,-9223372036854775808]}'
    const t = '{"name":"t","shape":[2],"datatype":"BOOL","data":[true,0]}'
    const reply = await ask(same, `{"inputs":[${n},${t}]}`)
    expect(reply.status).toBe(200)
    const text = await reply.text()
    expect(text).toContain('"data":[9007199254740993,-9223372036854775808]')
    expect(text).toContain('"data":[false,true]')
    expect((await ask(same, `{"inputs":[${n.replace('-9', '-19')},${t}]}`)).status).toBe(400)
  })

  it('counts in usage', async () => {
    const owner = await keyOf(unique('tenant'), ['infer', 'admin', 'usage'])
    const name = await upload(softmax, '1', owner)
    await ask(name, { inputs: [x([1, 2, 3, 4])] }, owner)
    await ask(name, { inputs: [x([1])] }, owner)
    await hub.settled()
    const day = new Date().toISOString().slice(0, 10)
    const { data } = await (await hub.get(`/v1/usage?from=${day}&to=${day}&group_by=model`, owner)).json()
    expect(data).toMatchObject([{ model: `infer/${name}`, requests: 1, tokens: 0 }])
  })
})

describe('inference in bytes', () => {
  const spec = { name: 'x', shape: [1, 4], datatype: 'FP32', parameters: { binary_data_size: 16 } }
  const bytes = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)
  let name: string
  beforeAll(async () => {
    name = await upload()
  })

  it('answers the worked example', async () => {
    const request = { id: 'b', inputs: [spec], outputs: [{ name: 'y', parameters: { binary_data: true } }] }
    const reply = await askBinary(name, request, bytes)
    expect(reply).toMatchObject({ status: 200, type: 'application/octet-stream' })
    const parameters = { binary_data_size: 12 }
    expect(reply.json).toEqual({
      ...{ model_name: name, model_version: '1', id: 'b' },
      outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 3], parameters }],
    })
    expect([...new Float32Array(reply.bytes.buffer)]).toEqual(close(SOFTMAX_OF_1234))
  })

  it('an output’s own word counts before the request’s', async () => {
    const own = [{ name: 'y', parameters: { binary_data: false } }]
    const request = { inputs: [spec], outputs: own, parameters: { binary_data_output: true } }
    const { type, json } = await askBinary(name, request, bytes)
    expect(type).toBe('application/json')
    expect(json.outputs[0].data).toEqual(close(SOFTMAX_OF_1234))
  })

  it('takes NaN', async () => {
    const nan = new Uint8Array(Float32Array.of(1, Number.NaN, 3, 4).buffer)
    const request = { inputs: [spec], parameters: { binary_data_output: true } }
    const reply = await askBinary(name, request, nan)
    expect([...new Float32Array(reply.bytes.buffer)]).toEqual([Number.NaN, Number.NaN, Number.NaN])
  })

  it.each([
    ['too few bytes', { ...spec }, bytes.slice(0, 12), 'inputs[0].parameters.binary_data_size'],
    ['too many bytes', { ...spec }, new Uint8Array(20), 'body'],
    [
      'a size that is not the shape’s',
      { ...spec, parameters: { binary_data_size: 12 } },
      bytes.slice(0, 12),
      'inputs[0].parameters.binary_data_size',
    ],
    ['data twice', { ...spec, data: [1, 2, 3, 4] }, bytes, 'inputs[0].parameters.binary_data_size'],
  ])('%s is 400', async (_, input, body, param) => {
    const { status, json } = await askBinary(name, { inputs: [input] }, body)
    expect({ status, param: json.error.param }).toEqual({ status: 400, param })
  })

  it('a header that is longer than the body is 400', async () => {
    const headers = { ...admin, 'inference-header-content-length': '1000000' }
    expect(await failure(ask(name, { inputs: [spec] }, headers))).toMatchObject({
      ...{ status: 400, param: 'Inference-Header-Content-Length' },
    })
  })
})

describe('the server', () => {
  it('tells its health to everybody, and what it is to those with a key', async () => {
    expect(await (await hub.get('/v2/health/live')).json()).toEqual({ live: true })
    expect(await (await hub.get('/v2/health/ready')).json()).toEqual({ live: true, ready: true })
    expect((await hub.get('/v2')).status).toBe(401)
    expect(await (await hub.get('/v2', admin)).json()).toMatchObject({
      ...{ name: 'redis-ai-hub', extensions: ['binary_tensor_data'] },
    })
  })

  it('says whether a model is ready', async () => {
    const name = await upload()
    const ready = async (path: string) => (await hub.get(`/v2/models/${path}/ready`, admin)).json()
    expect(await ready(name)).toEqual({ name, ready: true })
    expect(await ready(`${name}/versions/1`)).toEqual({ name, ready: true })
    expect((await hub.get(`/v2/models/${name}/versions/2/ready`, admin)).status).toBe(404)
  })

  it('joins 64 requests at once into few runs, and each gets its own answer', async () => {
    const name = await upload()
    await ask(name, { inputs: [x([0, 0, 0, 0])] })
    counted.runs.length = 0
    const replies = await Promise.all(
      Array.from({ length: 64 }, async (_, n) => {
        const reply = await ask(name, { id: String(n), inputs: [x([n / 64, 0, 0, 0])] })
        return (await reply.json()) as { id: string; outputs: { data: number[] }[] }
      }),
    )
    expect(counted.runs.reduce((sum, rows) => sum + rows, 0)).toBe(64)
    expect(counted.runs.length).toBeLessThan(16)
    replies.forEach(({ id, outputs }, n) => {
      expect(id).toBe(String(n))
      expect(outputs[0]!.data).toEqual(close(softmaxOf(n / 64)))
    })
  })

  it('asks Redis about the key alone, where it knows the model', async () => {
    const owner = await keyOf(unique('tenant'), ['infer', 'admin'])
    const name = await upload(softmax, '1', owner)
    const request = () => ask(name, { inputs: [x([1, 2, 3, 4])] }, owner)
    await request()
    await hub.settled()
    hub.waves.length = 0
    await request()
    expect(hub.waves[0]!.map((call) => ('script' in call ? call.script.name : call[0]))).toEqual(['HMGET'])
    // The other one counts usage, and nobody waits for it.
    expect(
      hub.waves
        .slice(1)
        .flat()
        .map((call) => ('script' in call ? '' : call[0])),
    ).not.toContain('HGET')
  })

  it('describes its routes', async () => {
    const { paths } = await (await hub.get('/openapi.json', admin)).json()
    const { put } = paths['/v2/models/{model}/versions/{version}']
    expect(put.parameters.map(({ name }: { name: string }) => name)).toContain('max_batch')
    expect(paths['/v2/models/{model}/infer'].post.requestBody.content).toHaveProperty(
      'application/octet-stream',
    )
    expect(paths['/v2/health/ready'].get.security).toEqual([])
  })

  it('without a runtime says what to do', async () => {
    await using bare = await startApp()
    const init = { method: 'PUT', body: softmax as BodyInit, headers: { host: 'localhost' } }
    const refused = await failure(bare.request(`/v2/models/${unique('model')}/versions/1`, init))
    expect(refused).toMatchObject({ status: 503, code: 'runtime_unavailable' })
    expect(refused.message).toContain('HUB_REDISAI_URL')
  })
})

async function keyOf(tenant: string, scopes: string[]): Promise<Headers> {
  const reply = await hub.send('POST', '/v1/keys', { tenant, scopes }, admin)
  return { authorization: `Bearer ${(await reply.json()).key}` }
}

/** Of [first, 0, 0, 0]. */
function softmaxOf(first: number): number[] {
  const powers = [0.5 * first + 0.1, -0.25 * first + 0.2, 0.125 * first - 0.3].map(Math.exp)
  const sum = powers[0]! + powers[1]! + powers[2]!
  return powers.map((power) => power / sum)
}

/** A model of at least so many bytes. */
function padded(bytes: number): Uint8Array {
  const data = new Float32Array(Math.ceil(bytes / 4))
  return buildOnnx({
    inputs: [{ name: 'x', type: 'FP32', shape: [data.length] }],
    outputs: [{ name: 'y', type: 'FP32', shape: [data.length] }],
    constants: [{ name: 'w', type: 'FP32', shape: [data.length], data }],
    nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
  })
}
