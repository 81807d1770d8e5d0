import { existsSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRuntimeRedisai } from '../../shared/drivers/runtime-redisai.ts'
import { redisaiKeys } from '../../shared/keys.ts'
import type { LoadedModel } from '../../shared/ports/model-runtime.ts'
import { unique } from '../support/app.ts'
import { patient } from '../support/redis.ts'
import { testModelRuntime } from './model-runtime.contract.ts'
import { fp32, SOFTMAX, softmaxOf } from './model-runtime.models.ts'

const url = process.env.TEST_REDISAI_URL

if (url) {
  testModelRuntime('runtime-redisai', () => open(url), {
    types: ['BOOL', 'UINT8', 'UINT16', 'INT8', 'INT16', 'INT32', 'INT64', 'FP32', 'FP64'],
    odd: 'refused',
    leaves: true,
  })

  test('a model that the server has lost is brought to it again', async () => {
    const { runtime, redis, close } = await open(url)
    onTestFinished(close)
    const [one, other] = [unique('lost'), unique('lost')]
    const models = [await runtime.load(file(one)), await runtime.load(file(other))]
    await redis.wave([['DEL', redisaiKeys.model(one)]])
    await mustRun(runtime, models)
    await redis.wave([['UNLINK', redisaiKeys.model(one), redisaiKeys.model(other)]])
    await mustRun(runtime, models)
    const ttls = await redis.wave([one, other].map((key) => ['TTL', redisaiKeys.model(key)] as const))
    for (const ttl of ttls) expect(ttl).toBeGreaterThan(redisaiKeys.ttlSeconds - 60)
  })

  test('a model that is there is not stored again, and stays when one instance lets go of it', async () => {
    const [mine, others] = [await open(url), await open(url)]
    onTestFinished(async () => void (await Promise.all([mine.close(), others.close()])))
    const key = unique('shared')
    const model = await mine.runtime.load(file(key))
    const stored = () => mine.redis.wave([['AI.INFO', redisaiKeys.model(key)]])
    await mustRun(mine.runtime, [model])
    const calls = callsOf(await stored())
    const again = await others.runtime.load(file(key))
    expect(callsOf(await stored())).toBe(calls) // storing would begin to count anew
    await model.close()
    await mustRun(others.runtime, [again])
  })

  test('onto a key of another kind nothing is stored, and the server lives on', async () => {
    const { runtime, redis, close } = await open(url)
    onTestFinished(close)
    for (const [kind, command] of Object.entries({ string: ['SET'], list: ['RPUSH'], set: ['SADD'] })) {
      const name = unique(kind)
      const key = redisaiKeys.model(name)
      await redis.wave([[command[0]!, key, 'value']])
      await expect(runtime.load(file(name))).rejects.toMatchObject({ status: 409, code: 'key_conflict' })
      const [kept, ttl] = await redis.wave([
        ['TYPE', key],
        ['TTL', key],
        ['DEL', key],
      ])
      expect([kept, ttl]).toEqual([kind, -1])
    }
    await mustRun(runtime, [await runtime.load(file(unique('after')))])
  })

  test('a key that turns into another kind while the model is in use', async () => {
    const { runtime, redis, close } = await open(url)
    onTestFinished(close)
    const name = unique('turned')
    const model = await runtime.load(file(name))
    await redis.wave([['SET', redisaiKeys.model(name), 'value']])
    await expect(execute(runtime, model)).rejects.toMatchObject({ status: 409, code: 'key_conflict' })
    await redis.wave([['DEL', redisaiKeys.model(name)]])
    await mustRun(runtime, [model])
  })

  test('a device that the server has not is its fault, not the model’s', async () => {
    const { runtime, close } = await open(url, 'GPU')
    onTestFinished(close)
    const loading = runtime.load(file(unique('gpu')))
    await expect(loading).rejects.toMatchObject({ status: 503, code: 'runtime_unavailable' })
  })
} else {
  test('the contract of runtime-redisai did not run: TEST_REDISAI_URL is not set', () => {
    console.log(
      'TEST_REDISAI_URL is not set, so the contract did not run on a live RedisAI. What it has replied is ' +
        'replayed in test/drivers/runtime-redisai.test.ts.',
    )
    const replayed = ['../drivers/runtime-redisai.test.ts', '../fixtures/redisai.jsonl']
    expect(replayed.filter((file) => !existsSync(new URL(file, import.meta.url)))).toEqual([])
  })
}

const file = (key: string) => ({ key, format: 'onnx' as const, bytes: SOFTMAX })

const x = fp32([1, 4], [1, 2, 3, 4])

type Runtime = ReturnType<typeof createRuntimeRedisai>

const execute = (runtime: Runtime, model: LoadedModel) =>
  runtime.execute({ nodes: [{ model, inputs: ['x'], outputs: ['y'] }], outputs: ['y'] }, new Map([['x', x]]))

async function mustRun(runtime: Runtime, models: readonly LoadedModel[]) {
  for (const model of models) {
    const y = (await execute(runtime, model)).get('y')!
    expect(Number(y.data[0])).toBeCloseTo(softmaxOf([1, 2, 3, 4])[0]!, 5)
  }
}

function callsOf([info]: unknown[]) {
  const list = info as unknown[]
  return list[list.indexOf('calls') + 1]
}

async function open(url: string, device?: string) {
  const redis = patient(createRedisResp({ url }))
  const loaded: string[] = []
  const keys = { ...redisaiKeys, model: (key: string) => loaded[loaded.push(redisaiKeys.model(key)) - 1]! }
  const runtime = createRuntimeRedisai({ redis: createRedisResp({ url }), keys, device })
  return {
    runtime,
    redis,
    async close() {
      // The server is somebody's: nothing stays on it.
      if (loaded.length > 0) await redis.wave([['UNLINK', ...loaded]])
      await Promise.all([runtime.close(), redis.close()])
    },
  }
}
