import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildOnnx } from '../../infra/examples/onnx-builder.ts'
import { createRuntimeOnnx } from '../../shared/drivers/runtime-onnx.ts'
import { identityOf, JOIN, LOOK_UP, SCALE, scaleOf, softmaxOf } from '../ports/model-runtime.models.ts'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { counting, logarithm, softmax } from '../support/models.ts'

const HUB_ADMIN_KEY = 'an-admin-key-of-tests'
const admin = { authorization: `Bearer ${HUB_ADMIN_KEY}` }
const counted = counting(createRuntimeOnnx())

let hub: TestApp
beforeAll(async () => {
  hub = await startApp({ env: { HUB_ADMIN_KEY }, modelRuntime: counted.runtime })
})
afterAll(() => hub[Symbol.asyncDispose]())

type Headers = Record<string, string>

async function upload(bytes: Uint8Array = softmax, query = '', headers: Headers = admin) {
  const name = unique('model')
  const reply = await hub.request(`/v2/models/${name}/versions/1${query}`, {
    method: 'PUT',
    body: bytes as BodyInit,
    headers: { 'content-type': 'application/octet-stream', ...headers },
  })
  expect(reply.status).toBe(201)
  return name
}

async function put(definition: object, { name = unique('pipeline'), headers = admin, status = 201 } = {}) {
  const reply = await hub.send('PUT', `/v2/pipelines/${name}`, definition, headers)
  expect(reply.status, await reply.clone().text()).toBe(status)
  return name
}

const ask = (name: string, body: object, headers: Headers = admin) =>
  hub.send('POST', `/v2/pipelines/${name}`, body, headers)

async function run(name: string, body: object) {
  const reply = await ask(name, body)
  expect(reply.status, await reply.clone().text()).toBe(200)
  return reply.json()
}

async function failure(response: Promise<Response>) {
  const reply = await response
  const { error } = await reply.json()
  return { status: reply.status, code: error.code, param: error.param, message: error.message }
}

async function keyOf(tenant: string, scopes: string[], more: object = {}) {
  const reply = await hub.send('POST', '/v1/keys', { tenant, scopes, ...more }, admin)
  return { authorization: `Bearer ${(await reply.json()).key}` }
}

const close = (values: readonly number[], digits = 5) => values.map((value) => expect.closeTo(value, digits))

/** Four numbers through softmax. */
const iris = (model: string, more: object = {}) => ({
  inputs: { a: 'number', b: 'number', c: 'number', d: { type: 'number', default: 4 } },
  preprocess: [{ op: 'concat', from: ['a', 'b', 'c', 'd'], as: 'x' }],
  models: [{ model }],
  ...more,
})

describe('a pipeline', () => {
  it('runs a model for one row, and for many in one call', async () => {
    const name = await put(iris(await upload()))
    const one = await run(name, { inputs: { a: 1, b: 2, c: 3 } })
    expect(one).toMatchObject({ pipeline: name, models: [{ version: '1' }] })
    expect(one.outputs).toEqual({ y: close(softmaxOf([1, 2, 3, 4])) })
    counted.runs.length = 0
    const rows = [
      [1, 2, 3, 4],
      [0, 0, 0, 0],
      [-1, 0.5, 0, 2],
    ]
    const { data } = await run(name, {
      rows: rows.map(([a, b, c, d]) => ({ inputs: { a, b, c, d } })),
    })
    expect(data).toEqual(rows.map((row) => ({ outputs: { y: close(softmaxOf(row)) } })))
    expect(counted.runs).toEqual([3])
  })

  it('makes named results of outputs, and of inputs', async () => {
    const model = await upload()
    const name = await put({
      ...iris(model),
      inputs: { ...iris(model).inputs, plant: 'text', wet: 'boolean' },
      models: [{ model, outputs: { y: 'classes' } }],
      postprocess: [
        { op: 'argmax', from: 'classes', as: 'kind', labels: ['setosa', 'versicolor', 'virginica'] },
        { op: 'pick', from: 'classes', as: 'sure', index: 0 },
        { op: 'round', from: 'sure', digits: 3 },
        { op: 'threshold', from: 'sure', as: 'certain', value: 0.9 },
      ],
      results: ['plant', 'wet', 'kind', 'sure', 'certain'],
    })
    const { outputs } = await run(name, { inputs: { a: 1, b: 2, c: 3, plant: 'p7', wet: true } })
    expect(outputs).toEqual({ plant: 'p7', wet: 1, kind: 'setosa', sure: 0.951, certain: true })
  })

  it('runs several models as one DAG', async () => {
    const [scale, classes, join] = await Promise.all([upload(SCALE), upload(), upload(JOIN)])
    const name = await put({
      inputs: { raw: { type: 'vector', dimensions: 4 }, odd: 'boolean' },
      preprocess: [{ op: 'concat', from: ['odd'], as: 'flag', type: 'BOOL', shape: [1] }],
      models: [
        { model: scale, inputs: { x: 'raw' }, outputs: { scaled: 'x', size: 'how_far' } },
        { model: classes, version: '1', outputs: { y: 'p' } },
        { model: join, inputs: { size: 'how_far' } },
      ],
      results: ['joined'],
    })
    counted.runs.length = 0
    const rows = [
      [1, 2, 3, 4],
      [4, -3, 2.5, 0],
    ]
    const { data } = await run(name, { rows: rows.map((raw, n) => ({ inputs: { raw, odd: n === 0 } })) })
    const expected = rows.map((row, n) => {
      const scaled = scaleOf(row)
      const size = scaled.reduce((sum, value) => sum + Math.abs(value), 0) / 4
      return { outputs: { joined: close([...softmaxOf(scaled), size, 1 - n]) } }
    })
    expect(data).toEqual(expected)
    expect(counted.runs).toEqual([2])
  })

  it('runs row by row where the model’s rows cannot be joined', async () => {
    const name = await put(iris(await upload(softmax, '?max_batch=1')))
    counted.runs.length = 0
    const rows = [1, 2, 3].map((a) => ({ inputs: { a, b: 0, c: 0 } }))
    const { data } = await run(name, { rows })
    expect(data.map(({ outputs }: { outputs: { y: number[] } }) => outputs.y)).toEqual(
      [1, 2, 3].map((a) => close(softmaxOf([a, 0, 0, 4]))),
    )
    expect(counted.runs).toEqual([1, 1, 1])
  })

  it('gives whole numbers to models that take them, one a row', async () => {
    const name = await put({
      inputs: { row: 'number' },
      preprocess: [{ op: 'concat', from: ['row'], as: 'row_number', type: 'INT64', shape: [] }],
      models: [{ model: await upload(LOOK_UP), inputs: { row: 'row_number' } }],
    })
    const { data } = await run(name, { rows: [{ inputs: { row: 2 } }, { inputs: { row: 0 } }] })
    expect(data).toEqual([{ outputs: { y: [5, 6] } }, { outputs: { y: [1, 2] } }])
    expect(await failure(ask(name, { inputs: { row: 0.5 } }))).toMatchObject({ status: 400 })
    // Of those that the model does not take each is told apart from its neighbours.
    const bad = await failure(ask(name, { rows: [{ inputs: { row: 1 } }, { inputs: { row: 9 } }] }))
    expect(bad).toMatchObject({ status: 422, code: 'inference_failed', param: 'rows[1]' })
  })

  it('takes a model without a batch dimension, row by row', async () => {
    const sum = buildOnnx({
      inputs: [{ name: 'x', type: 'FP32', shape: [2] }],
      outputs: [{ name: 'y', type: 'FP32', shape: [2] }],
      nodes: [{ op: 'Add', inputs: ['x', 'x'], outputs: ['y'] }],
    })
    const name = await put({
      inputs: { x: { type: 'vector', dimensions: 2 } },
      models: [{ model: await upload(sum) }],
    })
    const { data } = await run(name, { rows: [{ inputs: { x: [1, 2] } }, { inputs: { x: [3, 4] } }] })
    expect(data).toEqual([{ outputs: { y: [2, 4] } }, { outputs: { y: [6, 8] } }])
  })
})

describe('windows', () => {
  const windowed = (model: string, more: object = {}) => ({
    inputs: { device: 'text', t: 'number' },
    preprocess: [
      { op: 'scale', from: 't', mean: 0, std: 10, as: 'scaled' },
      { op: 'window', from: 'scaled', by: 'device', length: 3, as: 'x', ...more },
    ],
    models: [{ model }],
  })
  const identity = () => upload(identityOf('FP32'))
  const row = (device: string, t: number, id?: string) => ({ inputs: { device, t }, ...(id && { id }) })
  const shown = ({ data }: { data: { outputs: { y: number[] } }[] }) =>
    data.map(({ outputs }) => outputs.y.map((value) => Math.round(value * 10)))

  it('are the latest values of an entity, in the order of rows and over calls', async () => {
    const name = await put(windowed(await identity()))
    const first = await run(name, { rows: [row('a', 1), row('b', 100), row('a', 2)] })
    expect(shown(first)).toEqual([
      [1, 1, 1],
      [100, 100, 100],
      [1, 1, 2],
    ])
    const second = await run(name, { rows: [row('a', 3), row('a', 4), row('b', 200)] })
    expect(shown(second)).toEqual([
      [1, 2, 3],
      [2, 3, 4],
      [100, 100, 200],
    ])
  })

  it('count a row of the same id once, and show it the window that it had', async () => {
    const name = await put(windowed(await identity(), { fill: 0 }))
    const rows = [row('a', 1, 'r1'), row('a', 2, 'r2')]
    const first = shown(await run(name, { rows }))
    expect(first).toEqual([
      [0, 0, 1],
      [0, 1, 2],
    ])
    expect(shown(await run(name, { rows: [row('a', 3, 'r3')] }))).toEqual([[1, 2, 3]])
    expect(shown(await run(name, { rows }))).toEqual(first)
    expect(shown(await run(name, { rows: [row('a', 4, 'r4')] }))).toEqual([[2, 3, 4]])
  })

  it('hold vectors too, and nothing of a request that is refused', async () => {
    const name = await put({
      inputs: { device: 'text', at: { type: 'vector', dimensions: 2 } },
      preprocess: [{ op: 'window', from: 'at', by: 'device', length: 2, as: 'x' }],
      models: [{ model: await identity() }],
    })
    const refused = ask(name, {
      rows: [{ inputs: { device: 'a', at: [1, 2] } }, { inputs: { device: 'a', at: [3] } }],
    })
    expect(await failure(refused)).toMatchObject({ status: 400, param: 'rows[1].inputs.at' })
    await run(name, { inputs: { device: 'a', at: [5, 6] } })
    const { outputs } = await run(name, { inputs: { device: 'a', at: [-7.5, 8e-7] } })
    expect(outputs.y).toEqual(close([5, 6, -7.5, 8e-7], 9))
  })

  it('begin anew where the steps before them change, and are the tenant’s own', async () => {
    const model = await identity()
    const name = await put(windowed(model))
    await run(name, { rows: [row('a', 1), row('a', 2)] })
    const changed = windowed(model)
    changed.preprocess[0] = { op: 'scale', from: 't', mean: 0, std: 5, as: 'scaled' }
    await put(changed, { name, status: 200 })
    expect(shown(await run(name, { rows: [row('a', 3)] }))).toEqual([[6, 6, 6]])
  })
})

describe('features', () => {
  const looked = (model: string, view: string, more: object = {}) => ({
    inputs: { device: 'text', t: 'number' },
    features: {
      of: { view, entity: 'device', values: { mean: {}, spread: { default: 2 } }, ...more },
    },
    preprocess: [{ op: 'concat', from: ['t', 'of.mean', 'of.spread', 't'], as: 'x' }],
    models: [{ model }],
  })

  async function view(features: object) {
    const name = unique('view')
    expect((await hub.send('PUT', `/v1/feature-views/${name}`, { features }, admin)).status).toBe(201)
    return name
  }
  const write = (view: string, entity: string, features: object, event_time?: string) =>
    hub.send('PUT', `/v1/features/${view}/${entity}`, { features, event_time }, admin)

  it('are looked up for all rows in one wave, together with windows', async () => {
    const of = await view({ mean: 'float', spread: 'float' })
    await write(of, 'a', { mean: 10, spread: 3 })
    await write(of, 'b', { mean: 20 })
    const definition = looked(await upload(identityOf('FP32')), of)
    const name = await put({
      ...definition,
      preprocess: [
        { op: 'window', from: 't', by: 'device', length: 2, as: 'w' },
        { op: 'concat', from: ['w', 'of.mean', 'of.spread'], as: 'x' },
      ],
    })
    await run(name, { inputs: { device: 'a', t: 0 } })
    hub.waves.length = 0
    const { data } = await run(name, {
      rows: ['a', 'b', 'a'].map((device, n) => ({ inputs: { device, t: n + 1 } })),
    })
    expect(data.map(({ outputs }: { outputs: { y: number[] } }) => outputs.y)).toEqual([
      [0, 1, 10, 3],
      [2, 2, 20, 2],
      [1, 3, 10, 3],
    ])
    const asking = hub.waves.filter((calls) =>
      calls.some((call) => !('script' in call) && call[0] === 'HMGET'),
    )
    expect(asking).toHaveLength(1)
    expect(asking[0]!.filter((call) => 'script' in call)).toHaveLength(2)
  })

  it('that are missing or too old are told, or their default stands in', async () => {
    const of = await view({ mean: 'float', spread: 'float' })
    const name = await put(looked(await upload(), of, { max_age_seconds: 60 }))
    const of_ = (device: string) => ask(name, { inputs: { device, t: 1 } })
    expect(await failure(of_('nobody'))).toMatchObject({
      ...{ status: 422, code: 'feature_missing', param: 'features.of.values.mean' },
    })
    await write(of, 'old', { mean: 1 }, '2026-01-01T00:00:00Z')
    expect(await failure(of_('old'))).toMatchObject({ status: 422, code: 'feature_stale' })
    await write(of, 'new', { mean: 1 })
    expect((await of_('new')).status).toBe(200)
    expect(await failure(of_('bad\u0001'))).toMatchObject({ status: 400, param: 'features.of.entity' })
  })

  it('of a view or of a type that is not there are told', async () => {
    const model = await upload()
    const nowhere = await put(looked(model, unique('view')))
    const inputs = { device: 'a', t: 1 }
    expect(await failure(ask(nowhere, { inputs }))).toMatchObject({
      ...{ status: 404, code: 'feature_view_not_found' },
    })
    const of = await view({ mean: 'string', spread: 'float' })
    await write(of, 'a', { mean: 'low' })
    const name = await put(looked(model, of))
    expect(await failure(ask(name, { inputs }))).toMatchObject({
      ...{ status: 400, param: 'features.of.values.mean' },
    })
  })
})

describe('what is not a number', () => {
  it('is refused before a model, and after it', async () => {
    const name = await put({
      inputs: { a: 'number', b: 'number' },
      preprocess: [
        { op: 'log', from: 'a', as: 'log_a' },
        { op: 'concat', from: ['log_a', 'b'], as: 'x' },
      ],
      models: [{ model: await upload(logarithm()) }],
    })
    const of = (a: unknown, b: unknown) => failure(ask(name, { inputs: { a, b } }))
    expect(await of(-1, 1)).toMatchObject({ status: 422, code: 'not_a_number', param: 'preprocess[0]' })
    expect(await of(1, 1e300)).toMatchObject({ status: 422, code: 'not_a_number', param: 'x' })
    expect(await of(Math.E, -1)).toMatchObject({ status: 422, code: 'not_a_number', param: 'y' })
    expect(await of('1', 1)).toMatchObject({ status: 400, code: 'invalid_value', param: 'inputs.a' })
    expect(await of(null, 1)).toMatchObject({ status: 400, param: 'inputs.a' })
    const rows = [{ inputs: { a: 1, b: 1 } }, { inputs: { a: 1, b: 1, e: 1 } }]
    expect(await failure(ask(name, { rows }))).toMatchObject({ status: 400, param: 'rows[1].inputs.e' })
    expect(await failure(ask(name, { inputs: {}, rows }))).toMatchObject({ status: 400 })
    expect(await failure(ask(name, {}))).toMatchObject({ status: 400 })
  })
})

describe('a definition', () => {
  it('is kept, listed, replaced and deleted, by admins; others read and run it', async () => {
    const tenant = unique('tenant')
    const [member, owner, stranger] = await Promise.all([
      keyOf(tenant, ['infer']),
      keyOf(tenant, ['infer', 'admin']),
      keyOf(unique('tenant'), ['infer', 'admin']),
    ])
    const definition = iris(await upload(softmax, '', owner))
    const name = await put(definition, { headers: owner })
    const inputs = { a: 1, b: 2, c: 3 }
    expect((await ask(name, { inputs }, member)).status).toBe(200)
    expect(await failure(ask(name, { inputs }, stranger))).toMatchObject({
      ...{ status: 404, code: 'pipeline_not_found' },
    })
    const path = `/v2/pipelines/${name}`
    expect(await failure(hub.send('PUT', path, definition, member))).toMatchObject({ status: 403 })
    expect((await hub.delete(path, member)).status).toBe(403)
    expect((await hub.delete(path, stranger)).status).toBe(404)
    expect((await hub.get(path, stranger)).status).toBe(404)
    expect(await (await hub.get(path, member)).json()).toMatchObject({ name, models: definition.models })
    const { data } = await (await hub.get('/v2/pipelines', member)).json()
    expect(data).toMatchObject([{ name }])
    await put({ ...definition, results: ['y'] }, { name, headers: owner, status: 200 })
    expect((await hub.delete(path, owner)).status).toBe(204)
    expect((await hub.delete(path, owner)).status).toBe(404)
    expect((await ask(name, { inputs }, member)).status).toBe(404)
  })

  it('is for keys that may use it, or all of its models', async () => {
    const tenant = unique('tenant')
    const owner = await keyOf(tenant, ['infer', 'admin'])
    const model = await upload(softmax, '', owner)
    const name = await put(iris(model), { headers: owner })
    const inputs = { a: 1, b: 2, c: 3 }
    const statusOf = async (models: string[]) =>
      (await ask(name, { inputs }, await keyOf(tenant, ['infer'], { models }))).status
    expect(await statusOf(['other'])).toBe(403)
    expect(await statusOf([`infer/${model}`])).toBe(200)
    expect(await statusOf([`pipeline/${name}`])).toBe(200)
  })

  it('that does not hold together is refused with the path', async () => {
    const model = await upload()
    const good = iris(model)
    const x = good.preprocess[0]!
    const cases: [object, string][] = [
      [{ ...good, more: 1 }, 'more'],
      [{ ...good, models: [] }, 'models'],
      [{ ...good, inputs: { ...good.inputs, a: 'numbr' } }, 'inputs.a.type'],
      [{ ...good, inputs: { ...good.inputs, a: { type: 'vector' } } }, 'inputs.a.dimensions'],
      [{ ...good, inputs: { ...good.inputs, a: { default: 'one' } } }, 'inputs.a.default'],
      [{ ...good, preprocess: [{ op: 'scael', from: 'a' }] }, 'preprocess[0].op'],
      [{ ...good, preprocess: [{ op: 'scale', from: 'a', mean: 1 }] }, 'preprocess[0]'],
      [{ ...good, preprocess: [{ op: 'scale', from: 'a', min: 1, max: 1 }] }, 'preprocess[0]'],
      [
        { ...good, preprocess: [{ op: 'bucketize', from: 'a', boundaries: [2, 1] }] },
        'preprocess[0].boundaries',
      ],
      [{ ...good, preprocess: [{ op: 'log', from: 'z' }, x] }, 'preprocess[0].from'],
      [{ ...good, preprocess: [{ ...x, from: ['a', 'z'] }] }, 'preprocess[0].from[1]'],
      [{ ...good, preprocess: [{ op: 'window', from: 'a', by: 'z', length: 2 }, x] }, 'preprocess[0].by'],
      [
        {
          ...good,
          preprocess: [
            { op: 'window', from: 'a', by: 'b', length: 2, as: 'w' },
            { op: 'window', from: 'w', by: 'b', length: 2 },
          ],
        },
        'preprocess[1].from',
      ],
      [{ ...good, preprocess: [{ op: 'embed', from: 'a' }] }, 'preprocess[0].from'],
      [{ ...good, features: { f: { view: 'v', entity: 'z', values: { n: {} } } } }, 'features.f.entity'],
      [{ ...good, preprocess: [{ ...x, from: ['a', 'b'] }] }, 'models[0].inputs.x'],
      [{ ...good, preprocess: [{ ...x, type: 'INT64' }] }, 'models[0].inputs.x'],
      [{ ...good, preprocess: [] }, 'models[0].inputs.x'],
      [{ ...good, models: [{ model, inputs: { z: 'x' } }] }, 'models[0].inputs.z'],
      [{ ...good, models: [{ model, outputs: { z: 'x' } }] }, 'models[0].outputs.z'],
      [{ ...good, models: [{ model }, { model }] }, 'models[1].outputs.y'],
      [
        { ...good, models: [{ model }, { model, inputs: { x: 'y' }, outputs: { y: 'z' } }] },
        'models[1].inputs.x',
      ],
      [{ ...good, postprocess: [{ op: 'softmax', from: 'z' }] }, 'postprocess[0].from'],
      [{ ...good, results: ['z'] }, 'results[0]'],
      [
        { ...good, alerts: [{ name: 'hot', when: { field: 'z', op: 'gt', value: 1 } }] },
        'alerts[0].when.field',
      ],
      [
        { ...good, alerts: [{ name: 'a'.repeat(64), when: { field: 'y', op: 'gt', value: 1 } }] },
        'alerts[0].name',
      ],
    ]
    for (const [definition, param] of cases) {
      const refused = await failure(hub.send('PUT', `/v2/pipelines/${unique('bad')}`, definition, admin))
      expect(refused, JSON.stringify(definition)).toMatchObject({ status: 400, param })
    }
    const unknown = hub.send('PUT', `/v2/pipelines/${unique('bad')}`, iris('nobody'), admin)
    expect(await failure(unknown)).toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'models[0].model',
    })
    expect(await failure(hub.send('PUT', '/v2/pipelines/a%20b', good, admin))).toMatchObject({ status: 400 })
  })

  it('finds a version that no longer fits when it runs', async () => {
    const model = await upload()
    const name = await put(iris(model))
    await hub.request(`/v2/models/${model}/versions/2`, {
      method: 'PUT',
      body: logarithm() as BodyInit,
      headers: { 'content-type': 'application/octet-stream', ...admin },
    })
    const inputs = { a: 1, b: 2, c: 3 }
    expect(await failure(ask(name, { inputs }))).toMatchObject({ status: 400, param: 'models[0].inputs.x' })
    await hub.send('PUT', `/v2/models/${model}/labels/stable`, { version: '1' }, admin)
    expect((await ask(name, { inputs })).status).toBe(200)
  })
})

describe('training data', () => {
  it('is recorded as it was served, each row once', async () => {
    const dataset = unique('dataset')
    const name = await put(
      iris(await upload(), {
        preprocess: [
          { op: 'scale', from: 'a', mean: 1, std: 2 },
          { op: 'concat', from: ['a', 'b', 'c', 'd'], as: 'x' },
        ],
        postprocess: [{ op: 'argmax', from: 'y', as: 'kind' }],
        record: dataset,
      }),
    )
    const rows = [{ id: 'one', time: '2026-01-02T03:04:05Z', inputs: { a: 3, b: 2, c: 3 } }]
    await run(name, { rows })
    await run(name, { rows })
    const lines = (await (await hub.get(`/v1/datasets/${dataset}`, admin)).text()).trim().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      {
        ...{ id: 'one', at: '2026-01-02T03:04:05.000Z', features: { a: 3, b: 2, c: 3, d: 4 } },
        output: { kind: 0 },
      },
    ])
  })
})

describe('texts', () => {
  it('are embedded for all rows at once', async () => {
    const name = await put({
      inputs: { text: 'text' },
      preprocess: [
        { op: 'embed', from: 'text', as: 'x', model: 'openai/text-embedding-3-small', dimensions: 4 },
      ],
      models: [{ model: await upload(identityOf('FP32')) }],
    })
    const { data } = await run(name, {
      rows: ['a cat', 'a dog', 'a cat'].map((text) => ({ inputs: { text } })),
    })
    const [cat, dog, again] = data.map(({ outputs }: { outputs: { y: number[] } }) => outputs.y)
    expect(cat).toHaveLength(4)
    expect(again).toEqual(cat)
    expect(dog).not.toEqual(cat)
    expect(await failure(ask(name, { inputs: { text: '' } }))).toMatchObject({
      status: 400,
      param: 'preprocess[0]',
    })
  })
})
