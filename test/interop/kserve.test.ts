import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRuntimeOnnx } from '../../shared/drivers/runtime-onnx.ts'
import { unique } from '../support/app.ts'
import { SOFTMAX_OF_1234, softmax } from '../support/models.ts'
import { type ServedHub, serveHub } from './support/served-hub.ts'

let hub: ServedHub
const model = unique('softmax')
beforeAll(async () => {
  hub = await serveHub({ modelRuntime: createRuntimeOnnx() })
  const scopes = ['admin', 'infer']
  hub.key = await hub.newKey({ scopes })
  const reply = await send('PUT', `/v2/models/${model}/versions/1`, softmax as BodyInit)
  expect(reply.status).toBe(201)
})
afterAll(() => hub[Symbol.asyncDispose]())

const send = (method: string, path: string, body?: BodyInit, headers: Record<string, string> = {}) =>
  fetch(hub.url + path, { method, body, headers: { authorization: `Bearer ${hub.key}`, ...headers } })
const near = (value: number) => expect.closeTo(value, 5)
const infer = (body: object) =>
  send('POST', `/v2/models/${model}/infer`, JSON.stringify(body), { 'content-type': 'application/json' })
const get = async (path: string) => {
  const reply = await send('GET', path)
  return { status: reply.status, body: await reply.json() }
}

/** A request as the protocol's clients send it: the header's JSON, then the inputs' bytes. */
async function inferBinary(header: object, bytes: Uint8Array) {
  const json = new TextEncoder().encode(JSON.stringify(header))
  const reply = await send('POST', `/v2/models/${model}/infer`, new Blob([json, bytes as BlobPart]), {
    ...{ 'content-type': 'application/octet-stream' },
    'inference-header-content-length': String(json.length),
  })
  const body = await reply.arrayBuffer()
  const length = Number(reply.headers.get('inference-header-content-length'))
  const head = JSON.parse(new TextDecoder().decode(body.slice(0, length)))
  return { status: reply.status, head, bytes: body.slice(length) }
}

describe('the HTTP shape of KServe, Open Inference Protocol v2', () => {
  it('says that it lives, is ready, and what it is', async () => {
    expect(await get('/v2/health/live')).toMatchObject({ status: 200, body: { live: true } })
    expect(await get('/v2/health/ready')).toMatchObject({ status: 200, body: { ready: true } })
    expect((await get('/v2')).body).toMatchObject({
      name: 'redis-ai-hub',
      extensions: ['binary_tensor_data'],
    })
  })

  it('describes a model', async () => {
    expect((await get(`/v2/models/${model}`)).body).toMatchObject({
      ...{ name: model, versions: ['1'] },
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 3] }],
    })
    expect((await get(`/v2/models/${model}/ready`)).status).toBe(200)
    expect((await get(`/v2/models/${model}/versions/1/ready`)).status).toBe(200)
  })

  it('infers in JSON, and gives the id back', async () => {
    const inputs = [{ name: 'x', shape: [1, 4], datatype: 'FP32', data: [1, 2, 3, 4] }]
    const reply = await infer({ id: 'r1', inputs })
    expect(reply.status).toBe(200)
    const { id, model_name, outputs } = await reply.json()
    expect({ id, model_name }).toEqual({ id: 'r1', model_name: model })
    expect(outputs).toMatchObject([{ name: 'y', datatype: 'FP32', shape: [1, 3] }])
    expect(outputs[0].data).toEqual(SOFTMAX_OF_1234.map(near))
  })

  it('infers in bytes, both ways', async () => {
    const data = Float32Array.of(1, 2, 3, 4, 1, 2, 3, 4)
    const parameters = { binary_data_size: data.byteLength }
    const { status, head, bytes } = await inferBinary(
      {
        inputs: [{ name: 'x', shape: [2, 4], datatype: 'FP32', parameters }],
        outputs: [{ name: 'y', parameters: { binary_data: true } }],
      },
      new Uint8Array(data.buffer),
    )
    expect(status).toBe(200)
    expect(head.outputs).toMatchObject([{ name: 'y', shape: [2, 3], parameters: { binary_data_size: 24 } }])
    const values = Array.from(new Float32Array(bytes))
    expect(values).toEqual([...SOFTMAX_OF_1234, ...SOFTMAX_OF_1234].map(near))
  })

  it('a wrong shape is 400, an unknown model 404, each with a message', async () => {
    const inputs = [{ name: 'x', shape: [1, 3], datatype: 'FP32', data: [1, 2, 3] }]
    const wrong = await infer({ inputs })
    expect(wrong.status).toBe(400)
    expect((await wrong.json()).error.message).toMatch(/./)
    expect((await get(`/v2/models/${unique('none')}`)).status).toBe(404)
  })
})
