import { readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { createClient } from '@redis/client'
import { sensorPipeline } from '../../infra/cli/example-sensor.ts'
import { makeDevices, makeSensorModel } from '../../infra/examples/sensor.ts'
import { createRuntimeOnnx } from '../../shared/drivers/runtime-onnx.ts'
import { runModel } from '../../shared/inference/run-model.ts'
import { DEFAULT_TENANT, eventKeys } from '../../shared/keys.ts'
import type { Tensor } from '../../shared/ports/model-runtime.ts'
import type { Bench } from './bench.ts'
import type { SourceAnswer } from './event-source.ts'
import { ADMIN_KEY } from './hub.ts'
import { startProcess } from './process.ts'
import { round } from './statistics.ts'

const RATES = [1_000, 5_000, 10_000, 12_500]
const SECONDS = 8
const GOAL = { rate: 10_000, p99Ms: 10 }
const WIDTH = 18

/**
 * The sensor pipeline on a stream: one process sends events by raw XADD and hears of their results and alerts; the hub runs features,
 * windows, the model, results and alerts. Beside it the bare runtime's rows a second, in batches.
 */
export async function inferenceStream(bench: Bench): Promise<void> {
  await using ends = new AsyncDisposableStack()
  const { bytes, threshold } = makeSensorModel()
  await measureRuntime(bench, bytes)

  const hub = await bench.start('infra/node.ts', {
    ...{ PORT: '0', REDIS_URL: bench.redis.url, HUB_ADMIN_KEY: ADMIN_KEY },
  })
  await setUp(hub.url, bytes, threshold)
  const redis = await createClient({ url: bench.redis.url }).connect()
  ends.defer(() => redis.close())
  const source = startProcess('test/bench/event-source.ts')
  ends.defer(source.stop)

  async function measure(rate: number, seconds: number) {
    const spent = async () => ({
      hub: (await hub.cpuMicroseconds()) / 1e6,
      models: cpuSecondsOfChildren(hub.pid),
      redis: await redisCpuSeconds(redis),
    })
    const before = await spent()
    const { cpu_us, ...answer } = await source.ask<SourceAnswer>({ redisUrl: bench.redis.url, rate, seconds })
    const after = await spent()
    const perEvent = (seconds: number) => round((seconds * 1e6) / answer.sent, 1)
    return {
      ...answer,
      inferences_per_second: Math.round(answer.results / answer.seconds),
      cpu_us_per_event: {
        hub: perEvent(after.hub - before.hub),
        models: perEvent(after.models - before.models),
        redis: perEvent(after.redis - before.redis),
        source: perEvent(cpu_us / 1e6),
      },
    }
  }

  bench.progress('sensor pipeline: warming up …')
  await measure(2_000, 5)
  for (const rate of RATES) {
    bench.progress(`sensor pipeline: ${rate} events a second …`)
    const measured = await measure(rate, SECONDS)
    const { inferences_per_second, p99_ms, results, sent, cpu_us_per_event: cpu } = measured
    const load_average = round(loadavg()[0]!, 2)
    bench.print({
      ...{ target: 'sensor pipeline', rate, ...measured, seconds: round(measured.seconds, 2), load_average },
    })
    if (rate !== GOAL.rate) continue
    const isSustained = results === sent && inferences_per_second >= 0.98 * GOAL.rate
    const all = cpu.hub + cpu.models + cpu.redis + cpu.source
    bench.print({
      ...{ summary: 'inference', inferences_per_second, p99_ms },
      /** With nobody else on the machine. */
      cores_at_goal: round((all * GOAL.rate) / 1e6, 2),
      goal: `${GOAL.rate} inferences a second, p99 < ${GOAL.p99Ms} ms`,
      goal_met: isSustained && p99_ms < GOAL.p99Ms,
    })
  }
  await redis.unlink(eventKeys(DEFAULT_TENANT, 'sensor').events)
}

/** Rows a second of the model alone, a call after the other. */
async function measureRuntime(bench: Bench, bytes: Uint8Array) {
  const runtime = createRuntimeOnnx()
  const model = await runtime.load({ key: 'sensor', format: 'onnx', bytes })
  for (const rows of [1, 64, 256]) {
    const data = Float32Array.from({ length: rows * WIDTH }, Math.random)
    const inputs = new Map<string, Tensor>([['x', { type: 'FP32', shape: [rows, WIDTH], data }]])
    let calls = 0
    const began = performance.now()
    while (performance.now() - began < 2_000) {
      await runModel({ runtime, model }, inputs)
      calls++
    }
    const seconds = (performance.now() - began) / 1_000
    bench.print({
      ...{ target: 'bare runtime', batch: rows, rows_per_second: Math.round((calls * rows) / seconds) },
      us_per_call: round((seconds * 1e6) / calls, 0),
    })
  }
  await runtime.close()
}

async function setUp(url: string, bytes: Uint8Array, threshold: number) {
  const send = async (method: string, path: string, body: object) => {
    const isBytes = body instanceof Uint8Array
    const response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${ADMIN_KEY}`,
        'content-type': isBytes ? 'application/octet-stream' : 'application/json',
      },
      body: isBytes ? (body as BodyInit) : JSON.stringify(body),
    })
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
  }
  await send('PUT', '/v2/models/sensor/versions/1?max_batch=256', bytes)
  const rows = makeDevices(1, 0, 1_000, 0).map(({ name, temperature_mean, vibration_mean }) => ({
    ...{ entity: name, features: { temperature_mean, vibration_mean } },
  }))
  await send('PUT', '/v1/feature-views/machine', {
    features: { temperature_mean: 'float', vibration_mean: 'float' },
  })
  await send('POST', '/v1/features/machine', { rows })
  const { record: _, ...pipeline } = sensorPipeline(threshold)
  await send('PUT', '/v2/pipelines/sensor', pipeline)
  await send('PUT', '/v1/events/sensor', {
    ...{ handler: { type: 'infer', pipeline: 'sensor' }, max_lag: 10_000_000 },
    ...{ retention_seconds: 5, result_ttl_seconds: 60 },
  })
}

async function redisCpuSeconds(redis: { info(section: string): Promise<string> }) {
  const info = await redis.info('cpu')
  const of = (name: string) => Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1])
  return of('used_cpu_sys') + of('used_cpu_user')
}

/** Of the processes that models run in; 0 where the system does not tell. */
function cpuSecondsOfChildren(pid: number): number {
  const read = (file: string) => {
    try {
      return readFileSync(file, 'utf8')
    } catch {
      return ''
    }
  }
  const children = read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean)
  const ticks = children.map((child) => {
    const fields = read(`/proc/${child}/stat`).split(') ').at(-1)!.split(' ')
    return Number(fields[11] ?? 0) + Number(fields[12] ?? 0)
  })
  return ticks.reduce((sum, one) => sum + one, 0) / 100
}
