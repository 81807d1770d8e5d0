import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { Miniflare } from 'miniflare'
import { expect, onTestFinished, test } from 'vitest'
import { createRuntimeOnnx } from '../../shared/drivers/runtime-onnx.ts'
import type { LoadedModel, ModelRuntime, Tensor } from '../../shared/ports/model-runtime.ts'
import { fp32, SLOW, SOFTMAX, slowRows, softmaxOf } from '../ports/model-runtime.models.ts'

const x = fp32([1, 4], [1, 2, 3, 4])

async function open(options: Parameters<typeof createRuntimeOnnx>[0] = {}) {
  const runtime = createRuntimeOnnx(options)
  onTestFinished(() => runtime.close())
  const load = (key: string, bytes: Uint8Array) => runtime.load({ key, format: 'onnx', bytes })
  return { runtime, softmax: await load('softmax', SOFTMAX), slow: await load('slow', SLOW) }
}

const run = (runtime: ModelRuntime, model: LoadedModel, tensor: Tensor) =>
  runtime.execute(
    { nodes: [{ model, inputs: ['x'], outputs: ['y'] }], outputs: ['y'] },
    new Map([['x', tensor]]),
  )

const first = async (answer: Promise<Map<string, Tensor>>) => Number((await answer).get('y')!.data[0])
const expected = expect.closeTo(softmaxOf([1, 2, 3, 4])[0]!, 5)

/** Processes of this one that run models. */
async function children(): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,args='])
  return stdout.split('\n').flatMap((line) => {
    const [, pid, parent] = /^\s*(\d+)\s+(\d+) .*onnx-process-child/.exec(line) ?? []
    return Number(parent) === process.pid ? [Number(pid)] : []
  })
}

test('the server goes on while a model runs', async () => {
  const { runtime, slow } = await open()
  let isRunning = true
  const running = run(runtime, slow, slowRows(512)).finally(() => {
    isRunning = false
  })
  let turns = 0
  for (; isRunning; turns++) await turn()
  await running
  expect(turns).toBeGreaterThan(20)
})

test('a process that crashes takes the call with it that it worked on, and no other; its models are there again', async () => {
  const { runtime, softmax, slow } = await open()
  const [pid] = await children()
  process.kill(pid!, 'SIGSTOP')
  const victim = run(runtime, slow, slowRows(1))
  const waiting = run(runtime, softmax, x)
  process.kill(pid!, 'SIGSEGV')
  process.kill(pid!, 'SIGCONT')
  await expect(victim).rejects.toMatchObject({ status: 422, code: 'inference_failed' })
  expect(await first(waiting)).toEqual(expected)
  expect(await first(run(runtime, softmax, x))).toEqual(expected)
  expect(await children()).not.toContain(pid)
})

test('a run that does not end is ended, and its process with it', async () => {
  const { runtime, softmax, slow } = await open({ longestMs: 1_000 })
  const [pid] = await children()
  process.kill(pid!, 'SIGSTOP')
  const late = run(runtime, slow, slowRows(1))
  await expect(late).rejects.toMatchObject({ status: 504, code: 'inference_timeout' })
  expect(await first(run(runtime, softmax, x))).toEqual(expected)
  expect(await children()).not.toContain(pid)
})

test('closing lets a run end, and leaves no process', async () => {
  const { runtime, softmax, slow } = await open()
  const running = run(runtime, slow, slowRows(64))
  const before = await children()
  await runtime.close()
  expect((await running).get('y')).toMatchObject({ shape: [64, 1024] })
  const after = await children()
  expect(before.filter((pid) => after.includes(pid))).toHaveLength(before.length - 1)
  await expect(run(runtime, softmax, x)).rejects.toMatchObject({ status: 503, code: 'runtime_unavailable' })
  await softmax.close()
})

test('an idle one keeps no process alive', async () => {
  const script = `
    import { readFileSync } from 'node:fs'
    import { createRuntimeOnnx } from './shared/drivers/runtime-onnx.ts'
    const bytes = readFileSync('test/fixtures/models/softmax-4x3.onnx')
    const model = await createRuntimeOnnx().load({ key: 'm', format: 'onnx', bytes })
    console.log(model.inputs[0].name)`
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    ...{ cwd: root, timeout: 15_000 },
  })
  expect(stdout.trim()).toBe('x')
})

test('onnxruntime-web runs in workerd, request after request, from a module that was compiled at deployment', async () => {
  const wasm = 'onnxruntime-web/ort-wasm-simd-threaded.wasm'
  const source = `
    import * as ort from 'onnxruntime-web/wasm'
    import module from '${wasm}'
    import { createRuntimeOnnxWeb } from './shared/drivers/runtime-onnx-web.ts'
    const runtime = createRuntimeOnnxWeb({ open: async () => ({ ort, module }) })
    let model
    export default {
      async fetch(request) {
        if (request.method === 'PUT') {
          model = await runtime.load({ key: 'm', format: 'onnx', bytes: await request.bytes() })
          return Response.json(model.outputs)
        }
        const tensor = { type: 'FP32', shape: [1, 4], data: Float32Array.from(await request.json()) }
        const dag = { nodes: [{ model, inputs: ['x'], outputs: ['y'] }], outputs: ['y'] }
        const answer = await runtime.execute(dag, new Map([['x', tensor]]))
        return Response.json([...answer.get('y').data])
      },
    }`
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: fileURLToPath(new URL('../..', import.meta.url)) },
    ...{ bundle: true, write: false, format: 'esm', target: 'esnext', conditions: ['workerd', 'worker'] },
    external: ['*.wasm', 'module', 'worker_threads', 'node:*'],
  })
  const wasmFile = createRequire(import.meta.url).resolve(wasm)
  const worker = new Miniflare({
    cf: false,
    enableDevRegistry: false,
    telemetry: { enabled: false },
    logRequests: false,
    workers: [
      {
        config: {
          name: 'inference',
          compatibilityDate: '2026-10-30',
          compatibilityFlags: ['nodejs_compat'],
          manifest: {
            mainModule: 'worker.js',
            modules: {
              'worker.js': { type: 'esm', contents: outputFiles[0]!.text },
              [wasm]: { type: 'wasm', contents: await readFile(wasmFile) },
            },
          },
        },
      },
    ],
  })
  onTestFinished(() => worker.dispose())
  const url = 'http://localhost/'
  const loaded = await worker.dispatchFetch(url, { method: 'PUT', body: SOFTMAX })
  expect(await loaded.json()).toEqual([{ name: 'y', type: 'FP32', shape: [-1, 3] }])
  for (const row of [
    [1, 2, 3, 4],
    [0, 1, 0, -1],
  ]) {
    const answer = await worker.dispatchFetch(url, { method: 'POST', body: JSON.stringify(row) })
    expect(await answer.json()).toEqual(softmaxOf(row).map((value) => expect.closeTo(value, 5)))
  }
})
