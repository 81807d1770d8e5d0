import { Client } from 'undici'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRuntimeOnnx } from '../../shared/drivers/runtime-onnx.ts'
import { runModel } from '../../shared/inference/run-model.ts'
import type { Tensor } from '../../shared/ports/model-runtime.ts'
import { buildMlp } from '../support/mlp.ts'
import { startInference } from '../support/models.ts'
import type { Bench } from './bench.ts'
import { ADMIN_KEY } from './hub.ts'
import { inferenceStream } from './inference-stream.ts'
import { median, percentile, round } from './statistics.ts'

const SIZES = [384, 512, 64]
const ROUNDS = 1_500
const CONNECTIONS = 64
const BATCHES = [1, 64]

/**
 * The sensor pipeline on a stream. Then 1 and 64 rows of a small model: the bare runtime, the domain function, and HTTP in JSON and in
 * bytes; then 64 callers of one row, joined or not.
 */
export async function inference(bench: Bench): Promise<void> {
  await inferenceStream(bench)
  await using ends = new AsyncDisposableStack()
  const redis = createRedisResp({ url: bench.redis.url })
  ends.defer(redis.close)
  const runtime = createRuntimeOnnx()
  ends.defer(runtime.close)
  const bytes = buildMlp(SIZES)
  const { infer, models } = startInference({ redis, runtime })
  await models.put('default', 'mlp', '1', { format: 'onnx', bytes })
  const model = await runtime.load({ key: 'bare', format: 'onnx', bytes })

  const start = (batchMs: number) =>
    bench.start('infra/node.ts', {
      ...{ PORT: '0', REDIS_URL: bench.redis.url, HUB_ADMIN_KEY: ADMIN_KEY },
      HUB_INFERENCE_BATCH_MS: String(batchMs),
    })
  const hub = await start(1)
  const client = new Client(hub.url)
  ends.defer(() => client.close())
  const authorization = `Bearer ${ADMIN_KEY}`
  const ask = async (method: 'GET' | 'POST', path: string, body?: string | Buffer, headers = {}) => {
    const reply = await client.request({ method, path, body, headers: { authorization, ...headers } })
    const answer = await reply.body.arrayBuffer()
    if (reply.statusCode !== 200) throw new Error(Buffer.from(answer).toString())
  }
  const path = '/v2/models/mlp/infer'
  for (const rows of BATCHES) {
    const { inputs, json, binary, headerLength } = requestOf(rows)
    const ways = {
      'bare runtime': () => runModel({ runtime, model }, inputs),
      infer: () => infer('default', 'mlp', undefined, inputs),
      'HTTP, no inference': () => ask('GET', '/v2/health/live'),
      'HTTP, JSON': () => ask('POST', path, json, { 'content-type': 'application/json' }),
      'HTTP, bytes': () => ask('POST', path, binary, { 'inference-header-content-length': headerLength }),
    }
    const times = new Map(Object.keys(ways).map((name) => [name, [] as number[]]))
    const rounds = rows === 1 ? ROUNDS : ROUNDS / 5
    for (let round = -rounds / 3; round < rounds; round++) {
      for (const [name, run] of Object.entries(ways)) {
        const began = performance.now()
        await run()
        if (round >= 0) times.get(name)!.push((performance.now() - began) * 1_000)
      }
    }
    for (const [target, all] of times) {
      const [p50_us, p99_us] = [round(median(all), 0), round(percentile(all, 99), 0)]
      bench.print({ target, rows, p50_us, p99_us })
    }
  }

  const load = {
    headers: { authorization },
    body: JSON.parse(requestOf(1).json),
    expect: '"outputs"',
  }
  const hubs = { joined: hub, alone: await start(0) }
  for (const warmUp of [true, false]) {
    for (const [name, process] of Object.entries(hubs)) {
      const target = { name, process, load: { ...load, url: `${process.url}${path}` } }
      await bench.measure(target, { connections: CONNECTIONS, warmUp })
    }
  }
}

/** The same rows as tensors, in JSON, and in bytes after their JSON. */
function requestOf(rows: number) {
  const shape = [rows, SIZES[0]!]
  const data = Float32Array.from({ length: rows * SIZES[0]! }, () => Math.round(Math.random() * 1e4) / 1e4)
  const spec = { name: 'x', shape, datatype: 'FP32' }
  const head = JSON.stringify({
    inputs: [{ ...spec, parameters: { binary_data_size: data.byteLength } }],
    parameters: { binary_data_output: true },
  })
  return {
    inputs: new Map<string, Tensor>([['x', { type: 'FP32', shape, data }]]),
    json: JSON.stringify({ inputs: [{ ...spec, data: Array.from(data) }] }),
    binary: Buffer.concat([Buffer.from(head), Buffer.from(data.buffer)]),
    headerLength: String(head.length),
  }
}
