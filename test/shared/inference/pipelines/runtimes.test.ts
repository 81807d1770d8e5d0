import { describe, expect, it, onTestFinished, type TestContext } from 'vitest'
import { createRedisResp } from '../../../../shared/drivers/redis-resp.ts'
import { createRuntimeOnnx } from '../../../../shared/drivers/runtime-onnx.ts'
import { createRuntimeRedisai } from '../../../../shared/drivers/runtime-redisai.ts'
import type { RowOutcome } from '../../../../shared/inference/pipelines/pipeline-call.ts'
import { redisaiKeys } from '../../../../shared/keys.ts'
import type { ModelRuntime } from '../../../../shared/ports/model-runtime.ts'
import type { Command, Redis } from '../../../../shared/ports/redis.ts'
import { JOIN, SCALE, SOFTMAX, scaleOf, softmaxOf } from '../../../ports/model-runtime.models.ts'
import { unique } from '../../../support/app.ts'
import { startPipelines } from '../../../support/pipelines.ts'
import { patient, testRedisUrl } from '../../../support/redis.ts'
import { startReplay } from '../../../support/replay.ts'

/** Three models, of which the last takes what both others made. */
const definition = {
  inputs: { raw: { type: 'vector', dimensions: 4 }, odd: 'boolean' },
  preprocess: [
    { op: 'clip', from: 'raw', min: -100, max: 100 },
    { op: 'concat', from: ['odd'], as: 'flag', type: 'BOOL', shape: [1] },
  ],
  models: [
    { model: 'scale', inputs: { x: 'raw' }, outputs: { scaled: 'x', size: 'how_far' } },
    { model: 'softmax', outputs: { y: 'p' } },
    { model: 'join', inputs: { size: 'how_far' } },
  ],
  postprocess: [{ op: 'argmax', from: 'p', as: 'kind' }],
  results: ['joined', 'kind'],
}

const rows = Array.from({ length: 20 }, (_, n) => ({
  raw: [Math.sin(n) * 3, Math.cos(n) * 5, n / 7, 200 - 20 * n],
  odd: n % 2 === 1,
}))

const clip = (x: number) => Math.max(-100, Math.min(100, x))

const expected = rows.map(({ raw, odd }) => {
  const scaled = scaleOf(raw.map(clip))
  const size = scaled.reduce((sum, value) => sum + Math.abs(value), 0) / 4
  const p = softmaxOf(scaled)
  return { joined: [...p, size, Number(odd)], kind: p.indexOf(Math.max(...p)) }
})

/** Runs it for those rows with this runtime. */
async function run(runtime: ModelRuntime): Promise<readonly RowOutcome[]> {
  const redis = patient(createRedisResp({ url: testRedisUrl() }))
  onTestFinished(redis.close)
  const { models, put, run, loaded } = startPipelines({ redis, runtime })
  onTestFinished(() => loaded.close())
  const tenant = unique('tenant')
  for (const [name, bytes] of Object.entries({ scale: SCALE, softmax: SOFTMAX, join: JOIN }))
    await models.put(tenant, name, '1', { format: 'onnx', bytes })
  await put(tenant, 'p', definition)
  return (await run(tenant, 'p', rows)).rows
}

function mustBeNear(outcomes: readonly RowOutcome[]) {
  const outputs = outcomes.map((outcome) =>
    'failed' in outcome ? Promise.reject(outcome.failed) : outcome.outputs,
  )
  for (const [n, { joined, kind }] of expected.entries()) {
    const made = outputs[n] as { joined: number[]; kind: number }
    expect(made.kind).toBe(kind)
    for (const [at, value] of joined.entries()) {
      expect(Math.abs(made.joined[at]! - value)).toBeLessThan(1e-5 * Math.max(1, Math.abs(value)))
    }
  }
}

describe('a pipeline of three models', () => {
  it('on ONNX Runtime', async () => {
    const runtime = createRuntimeOnnx()
    onTestFinished(runtime.close)
    mustBeNear(await run(runtime))
  })

  const url = process.env.TEST_REDISAI_URL
  it(url ? 'on RedisAI: the same' : 'on RedisAI: not live, as TEST_REDISAI_URL is not set', async () => {
    if (!url) return expect(process.env.TEST_REDISAI_URL).toBeUndefined()
    const { redis, sent } = counted(createRedisResp({ url }))
    const keys = { ...redisaiKeys, model: (key: string) => redisaiKeys.model(key) }
    const runtime = createRuntimeRedisai({ redis, keys })
    onTestFinished(async () => {
      const stored = sent.filter(([name]) => name === 'AI.MODELSTORE').map(([, key]) => String(key))
      await redis.wave([['UNLINK', ...stored]]) // the server is somebody's
      await runtime.close()
    })
    mustBeNear(await run(runtime))
    expect(sent.at(-1)![0]).toBe('AI.DAGEXECUTE')
    const isWhole = (command: Command) => command.filter((part) => part === 'AI.MODELEXECUTE').length === 3
    expect(sent.filter(isWhole)).toHaveLength(1)
  })

  it('is one AI.DAGEXECUTE on RedisAI', async (context) => {
    const tensor = (dtype: string, shape: number[], data: Float32Array) => {
      const bytes = Buffer.from(data.buffer)
      const sizes = `*${shape.length}\r\n${shape.map((size) => `:${size}\r\n`).join('')}`
      const head = `*6\r\n+dtype\r\n+${dtype}\r\n+shape\r\n${sizes}+blob\r\n$${bytes.length}\r\n`
      return Buffer.concat([Buffer.from(head), bytes, Buffer.from('\r\n')])
    }
    const p = Float32Array.of(0.5, 0.25, 0.25, 0.125, 0.125, 0.75)
    const joined = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    const answer = Buffer.concat([
      Buffer.from(`*7\r\n${'+OK\r\n'.repeat(5)}`),
      ...[tensor('FLOAT', [2, 3], p), tensor('FLOAT', [2, 5], joined)],
    ])
    const { runPlanned, sent } = await startReplayed(context, answer)
    const outcome = await runPlanned(rows.slice(0, 2))
    expect(outcome).toEqual([
      { outputs: { joined: [1, 2, 3, 4, 5], kind: 0 } },
      { outputs: { joined: [6, 7, 8, 9, 10], kind: 2 } },
    ])
    const commands = sent()
    expect(commands).toHaveLength(1)
    const [head, ...steps] = commands[0]!.split(' |> ')
    expect(head).toMatch(/^AI\.DAGEXECUTE ROUTING \{redisai\} TIMEOUT \d+$/)
    const raw = Float32Array.from(rows.slice(0, 2).flatMap((row) => row.raw.map(clip)))
    const bytes = Buffer.from(raw.buffer).toString('latin1')
    expect(steps).toEqual([
      `AI.TENSORSET t0 FLOAT 2 4 BLOB ${bytes}`,
      'AI.TENSORSET t1 BOOL 2 1 BLOB \u0000\u0001',
      'AI.MODELEXECUTE {redisai}:scale INPUTS 1 t0 OUTPUTS 2 t2 t3',
      'AI.MODELEXECUTE {redisai}:softmax INPUTS 1 t2 OUTPUTS 1 t4',
      'AI.MODELEXECUTE {redisai}:join INPUTS 3 t4 t3 t1 OUTPUTS 1 t5',
      'AI.TENSORGET t4 META BLOB',
      'AI.TENSORGET t5 META BLOB',
    ])
  })
})

/** The pipeline over models that a recorded RedisAI holds already; `answer` is its reply to what comes after them. */
async function startReplayed({ onTestFinished }: TestContext, answer: Uint8Array) {
  const ok = Buffer.from('+OK\r\n')
  const missing = Buffer.from('-ERR model key is empty\r\n')
  const one = Buffer.from(':1\r\n')
  const stored = [missing, ok, one]
  const replay = await startReplay([...stored, ...stored, ...stored, answer])
  onTestFinished(replay.close)
  const runtime = createRuntimeRedisai({ redis: createRedisResp({ url: replay.url }), keys: redisaiKeys })
  onTestFinished(runtime.close)
  const loaded = new Map()
  for (const [name, bytes] of Object.entries({ scale: SCALE, softmax: SOFTMAX, join: JOIN }))
    loaded.set(name, await runtime.load({ key: name, format: 'onnx', bytes }))
  const before = replay.requests.length
  const redis = patient(createRedisResp({ url: testRedisUrl() }))
  onTestFinished(redis.close)
  const serving = {
    acquire: async (tenant: string, name: string) => ({
      ...{ ref: { tenant, name, version: '1', sha256: '' }, runtime, model: loaded.get(name)!, maxBatch: 64 },
      release() {},
    }),
  }
  const { put, run } = startPipelines({ redis, runtime, serving })
  return {
    async runPlanned(inputs: readonly Record<string, unknown>[]) {
      const tenant = unique('tenant')
      await put(tenant, 'p', definition)
      return (await run(tenant, 'p', inputs)).rows
    },
    sent: () => replay.requests.slice(before).map(toLine),
  }
}

/** Its arguments with spaces between them. */
function toLine(request: Buffer): string {
  const parts: string[] = []
  for (let at = request.indexOf('\r\n') + 2; at < request.length; ) {
    const end = request.indexOf('\r\n', at)
    const length = Number(request.toString('latin1', at + 1, end))
    parts.push(request.toString('latin1', end + 2, end + 2 + length))
    at = end + length + 4
  }
  return parts.join(' ')
}

function counted(redis: Redis) {
  const sent: Command[] = []
  const wave: Redis['wave'] = (calls, options) => {
    sent.push(...(calls as Command[]))
    return redis.wave(calls, options)
  }
  return { redis: { ...redis, wave }, sent }
}
