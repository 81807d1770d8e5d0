import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildDense } from '../../infra/examples/dense-model.ts'
import { seeded } from '../../infra/examples/random.ts'
import { predict, train } from '../../infra/examples/train.ts'
import { createRuntimeOnnx } from '../../shared/drivers/runtime-onnx.ts'
import { runModel } from '../../shared/inference/run-model.ts'
import { fp32 } from '../ports/model-runtime.models.ts'
import { unique } from '../support/app.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub } from '../support/hub.ts'
import { testRedisUrl } from '../support/redis.ts'

const root = new URL('../..', import.meta.url).pathname

let hub: NodeHub
beforeAll(async () => {
  hub = await startNodeHub({ REDIS_URL: testRedisUrl(), OPENAI_API_KEY: undefined })
})
afterAll(() => hub?.stop())

/** `npm run hub -- example …`, in a tenant of its own. */
async function run(...args: string[]) {
  const reply = await fetch(`${hub.url}/v1/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      tenant: unique('tenant'),
      scopes: ['infer', 'admin', 'features', 'ingest-event', 'realtime', 'embed'],
    }),
  })
  const { key } = (await reply.json()) as { key: string }
  const child = spawn(process.execPath, [join(root, 'infra/hub.ts'), 'example', ...args], {
    env: { PATH: process.env.PATH, HUB_URL: hub.url, HUB_KEY: key },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout.on('data', (part) => {
    said.out += part
  })
  child.stderr.on('data', (part) => {
    said.err += part
  })
  const [code] = await once(child, 'close')
  return { code, ...said }
}

describe('an example runs with one command', () => {
  it('sensor: faulty readings are told, each with an alert', { timeout: 120_000 }, async () => {
    const { code, out, err } = await run('sensor', '--json')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const { quality, sent, right, missed, wrong, alerts } = JSON.parse(out)
    expect(quality.precision).toBeGreaterThan(0.9)
    expect(quality.recall).toBeGreaterThan(0.75)
    expect(sent).toBe(600)
    expect(right / (right + missed)).toBeGreaterThan(0.7)
    expect(right / (right + wrong)).toBeGreaterThan(0.8)
    expect(alerts).toBe(right + wrong)
  })

  it('iris: it names flowers that it has never seen, and says how to ask', { timeout: 60_000 }, async () => {
    const { code, out, err } = await run('iris')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(Number(/names ([\d.]+) % rightly/.exec(out)?.[1])).toBeGreaterThan(90)
    expect(out).toContain(`curl ${hub.url}/v2/pipelines/iris`)
  })

  it('embedder: it finds what shares words, far more often than by chance', { timeout: 60_000 }, async () => {
    const { code, out, err } = await run('embedder', '--json')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const { model, questions, found } = JSON.parse(out)
    expect(model).toMatch(/^model\/ngrams\/[0-9a-f]{12}$/)
    expect(found[model] / questions).toBeGreaterThan(0.5)
  })

  it('and says which there are', async () => {
    const { code, err } = await run('nothing')
    expect(code).toBe(2)
    expect(err).toContain('sensor, iris, embedder')
  })
})

describe('training', () => {
  it('finds what no line can tell apart, the same each time, and its model says the same', async () => {
    const xor = [
      { x: [0, 0], label: 0 },
      { x: [0, 1], label: 1 },
      { x: [1, 0], label: 1 },
      { x: [1, 1], label: 0 },
    ]
    const learn = () => train(xor, { sizes: [2, 8, 2], epochs: 400, rate: 0.03, random: seeded(5) })
    const layers = learn()
    for (const { x, label } of xor) expect(predict(layers, x)[label]).toBeGreaterThan(0.9)
    expect(learn()).toEqual(layers)
    const runtime = createRuntimeOnnx()
    const model = await runtime.load({ key: 'xor', format: 'onnx', bytes: buildDense(layers) })
    const rows = fp32(
      [4, 2],
      xor.flatMap(({ x }) => x),
    )
    const { data } = (await runModel({ runtime, model }, new Map([['x', rows]]))).get('y')!
    await runtime.close()
    const expected = xor.flatMap(({ x }) => predict(layers, x))
    expect([...(data as Float32Array)]).toEqual(expected.map((value) => expect.closeTo(value, 5)))
  })
})
