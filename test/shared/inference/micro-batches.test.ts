import { afterAll, describe, expect, it } from 'vitest'
import { buildOnnx } from '../../../infra/examples/onnx-builder.ts'
import { createBell } from '../../../shared/bell.ts'
import { createRuntimeOnnx } from '../../../shared/drivers/runtime-onnx.ts'
import { type BatchTarget, createMicroBatches } from '../../../shared/inference/micro-batches.ts'
import { counting, logarithm, rows } from '../../support/models.ts'

const runtime = createRuntimeOnnx()
afterAll(() => runtime.close())

/** A model whose runs wait for `open`, where there is a gate. */
async function start({ bytes = logarithm(), maxBatch = 8, delayMs = 1_000, gate = true, timeoutMs = 5_000 }) {
  const door = Promise.withResolvers<void>()
  const counted = counting(runtime, () => (gate ? door.promise : Promise.resolve()))
  const model = await runtime.load({ key: 'm', format: 'onnx', bytes })
  const target: BatchTarget = { runtime: counted.runtime, model, maxBatch }
  const { run } = createMicroBatches({ delayMs, timeoutMs })
  return {
    ...{ runs: counted.runs, open: door.resolve },
    ask: (inputs: ReturnType<typeof rows>, options = {}) => run(target, inputs, options),
  }
}

const y = async (answer: Promise<Map<string, { data: ArrayLike<number | bigint> }>>) =>
  Array.from((await answer).get('y')!.data, (value) => Math.round(Number(value) * 1e4) / 1e4)

const e = (power: number) => Math.E ** power

describe('micro-batches', () => {
  it('run at once where nothing runs, and join what comes meanwhile', async () => {
    const { ask, runs, open } = await start({})
    const answers = [1, 2, 3, 4].map((n) => ask(rows(2, e(n), 1)))
    expect(runs).toEqual([1])
    open()
    expect(await Promise.all(answers.map(y))).toEqual([
      [1, 0],
      [2, 0],
      [3, 0],
      [4, 0],
    ])
    expect(runs).toEqual([1, 3])
  })

  it('go out when they are full, and hold calls of several rows whole', async () => {
    const { ask, runs, open } = await start({ maxBatch: 4 })
    const answers = [1, 3, 2, 2].map((count) => ask(rows(2, ...Array(count * 2).fill(e(count)))))
    expect(runs).toEqual([1, 3]) // the second did not wait: a third one would not fit
    open()
    expect(await Promise.all(answers.map(y))).toEqual(
      [1, 3, 2, 2].map((count) => Array(count * 2).fill(count)),
    )
    expect(runs).toEqual([1, 3, 4])
  })

  it('wait no longer than they may while the model is busy', async () => {
    const { ask, runs, open } = await start({ delayMs: 5 })
    const answers = [ask(rows(2, 1, 1)), ask(rows(2, 1, 1)), ask(rows(2, 1, 1))]
    expect(runs).toEqual([1])
    await expect.poll(() => runs).toEqual([1, 2])
    open()
    await Promise.all(answers)
  })

  it('of other shapes are not joined', async () => {
    const free = buildOnnx({
      inputs: [{ name: 'x', type: 'FP32', shape: ['n', 'width'] }],
      outputs: [{ name: 'y', type: 'FP32', shape: ['n', 'width'] }],
      nodes: [{ op: 'Relu', inputs: ['x'], outputs: ['y'] }],
    })
    const { ask, runs, open } = await start({ bytes: free })
    const answers = [ask(rows(2, 1, 2)), ask(rows(3, 1, 2, 3)), ask(rows(2, 3, 4)), ask(rows(3, 4, 5, 6))]
    open()
    expect(await Promise.all(answers.map(y))).toEqual([
      [1, 2],
      [1, 2, 3],
      [3, 4],
      [4, 5, 6],
    ])
    expect(runs).toEqual([1, 1, 1, 1])
  })

  it('answer each caller with the outputs that it asked for', async () => {
    const two = buildOnnx({
      inputs: [{ name: 'x', type: 'FP32', shape: ['n', 2] }],
      outputs: [
        { name: 'y', type: 'FP32', shape: ['n', 2] },
        { name: 'z', type: 'FP32', shape: ['n', 2] },
      ],
      nodes: [
        { op: 'Relu', inputs: ['x'], outputs: ['y'] },
        { op: 'Neg', inputs: ['x'], outputs: ['z'] },
      ],
    })
    const { ask, open } = await start({ bytes: two })
    const answers = [['y'], ['z'], ['y'], undefined].map((outputs) => ask(rows(2, 1, 2), { outputs }))
    open()
    const names = (await Promise.all(answers)).map((answer) => [...answer.keys()])
    expect(names).toEqual([['y'], ['z'], ['y'], ['y', 'z']])
  })

  it('one whose caller left is not run, and its neighbours are', async () => {
    const { ask, runs, open } = await start({})
    const leaving = new AbortController()
    const first = ask(rows(2, 1, 1))
    const left = ask(rows(2, 1, 1), { signal: leaving.signal })
    const third = ask(rows(2, e(3), 1))
    leaving.abort(new Error('left'))
    await expect(left).rejects.toThrow('left')
    open()
    await first
    expect(await y(third)).toEqual([3, 0])
    expect(runs).toEqual([1, 1])
  })

  it('one caller whose numbers fail the model fails alone', async () => {
    const table = buildOnnx({
      inputs: [{ name: 'x', type: 'INT64', shape: ['n', 1] }],
      outputs: [{ name: 'y', type: 'FP32', shape: ['n', 1] }],
      constants: [{ name: 'table', type: 'FP32', shape: [3], data: Float32Array.of(10, 20, 30) }],
      nodes: [{ op: 'Gather', inputs: ['table', 'x'], outputs: ['y'] }],
    })
    const { ask, open } = await start({ bytes: table })
    const at = (index: number) =>
      ask(new Map([['x', { type: 'INT64' as const, shape: [1, 1], data: BigInt64Array.of(BigInt(index)) }]]))
    const answers = [at(0), at(1), at(99), at(2)]
    open()
    const [zero, one, bad, two] = await Promise.allSettled(answers.map(y))
    expect([zero, one, two].map((it) => it?.status === 'fulfilled' && it.value)).toEqual([[10], [20], [30]])
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'inference_failed', status: 422 } })
  })

  it('of a model that makes other rows than it says each run alone', async () => {
    const first = buildOnnx({
      inputs: [{ name: 'x', type: 'FP32', shape: ['n', 2] }],
      outputs: [{ name: 'y', type: 'FP32', shape: ['m', 2] }],
      nodes: [{ op: 'ReduceSum', inputs: ['x', 'axes'], outputs: ['y'], attributes: { keepdims: 1 } }],
      constants: [{ name: 'axes', type: 'INT64', shape: [1], data: BigInt64Array.of(0n) }],
    })
    const { ask, runs, open } = await start({ bytes: first })
    const answers = [1, 2, 3].map((n) => ask(rows(2, n, n)))
    open()
    expect(await Promise.all(answers.map(y))).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ])
    expect(runs).toEqual([1, 2, 1, 1])
    await Promise.all([ask(rows(2, 1, 1)), ask(rows(2, 1, 1))])
    expect(runs.slice(4)).toEqual([1, 1])
  })

  it('are not made where the delay is 0', async () => {
    const { ask, runs } = await start({ delayMs: 0, gate: false })
    await Promise.all([ask(rows(2, 1, 1)), ask(rows(2, 1, 1)), ask(rows(2, 1, 1))])
    expect(runs).toEqual([1, 1, 1])
  })

  it('one that had no turn in time says so', async () => {
    const { ask, open } = await start({ timeoutMs: 20 })
    const bell = createBell()
    const busy = [ask(rows(2, 1, 1)), ask(rows(2, ...Array(14).fill(1)))]
    const late = ask(rows(2, 1, 1, 1, 1))
    void Promise.allSettled(busy)
    await bell.sleep(50)
    open()
    await expect(late).rejects.toMatchObject({ code: 'inference_timeout', status: 504 })
  })
})
