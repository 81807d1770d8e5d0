import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { buildOnnx } from '../../infra/examples/onnx-builder.ts'
import type { LoadedModel, ModelRuntime, Tensor, TensorType } from '../../shared/ports/model-runtime.ts'
import { unique } from '../support/app.ts'
import {
  ADD_SUBTRACT,
  extremesOf,
  fp32,
  identityOf,
  JOIN,
  LOOK_UP,
  SCALE,
  SLOW,
  SOFTMAX,
  scaleOf,
  slowRows,
  softmaxOf,
} from './model-runtime.models.ts'

export interface RuntimeUnderTest {
  runtime: ModelRuntime
  close(): Promise<void>
}

export interface RuntimeTraits {
  /** Of inputs and outputs. */
  types: readonly TensorType[]
  /** Of what a model makes: tensors without rows or without dimensions. */
  odd: 'run' | 'refused'
  /** Whether a caller who leaves is let go before the model is done. */
  leaves: boolean
}

export const TENSOR_TYPES: readonly TensorType[] = [
  ...(['BOOL', 'UINT8', 'UINT16', 'UINT32', 'UINT64', 'INT8', 'INT16', 'INT32', 'INT64'] as const),
  ...(['FP16', 'FP32', 'FP64'] as const),
]

/**
 * What every driver of the model runtime port must do.
 *
 * @example testModelRuntime('runtime-onnx', async () => ({ runtime, close: runtime.close }), { … })
 */
export function testModelRuntime(
  name: string,
  start: () => Promise<RuntimeUnderTest>,
  { types, odd, leaves }: RuntimeTraits,
) {
  describe(name, () => {
    let subject: RuntimeUnderTest
    let softmax: LoadedModel
    const load = async (bytes: Uint8Array) => {
      const model = await subject.runtime.load({ key: unique('model'), format: 'onnx', bytes })
      onTestFinished(() => model.close())
      return model
    }
    /** One model alone, by its own names. */
    const run = (
      model: LoadedModel,
      inputs: Record<string, Tensor>,
      options?: Parameters<ModelRuntime['execute']>[2],
    ) => {
      const [into, out] = [model.inputs, model.outputs].map((specs) => specs.map(({ name }) => name))
      const dag = { nodes: [{ model, inputs: into!, outputs: out! }], outputs: out! }
      return subject.runtime.execute(dag, new Map(Object.entries(inputs)), options)
    }
    const x = fp32([1, 4], [1, 2, 3, 4])
    const stillRuns = async () => near((await run(softmax, { x })).get('y'), softmaxOf([1, 2, 3, 4]))

    beforeAll(async () => {
      subject = await start()
      softmax = await subject.runtime.load({ key: unique('softmax'), format: 'onnx', bytes: SOFTMAX })
    })
    afterAll(async () => {
      await softmax?.close()
      await subject?.close()
    })

    test('a model says what it takes and makes; -1 is any length', async () => {
      expect(softmax.inputs).toEqual([{ name: 'x', type: 'FP32', shape: [-1, 4] }])
      expect(softmax.outputs).toEqual([{ name: 'y', type: 'FP32', shape: [-1, 3] }])
      const join = await load(JOIN)
      expect(join.inputs.map(({ name, type }) => [name, type])).toEqual([
        ...[['p', 'FP32'], ['size', 'FP32'], ['flag', 'BOOL']], // biome-ignore format: pairs
      ])
      expect(softmax.memoryBytes).toBeGreaterThanOrEqual(SOFTMAX.length)
    })

    test('the worked example, alone and among other rows', async () => {
      near((await run(softmax, { x })).get('y'), [0.951212129, 0.040761463, 0.008026408])
      const rows = [...[1, 2, 3, 4], ...[0, 0, 0, 0], ...[-1, 0.5, 0, 2]]
      const y = (await run(softmax, { x: fp32([3, 4], rows) })).get('y')!
      expect(y).toMatchObject({ type: 'FP32', shape: [3, 3] })
      near(y, [...softmaxOf([1, 2, 3, 4]), ...softmaxOf([0, 0, 0, 0]), ...softmaxOf([-1, 0.5, 0, 2])])
    })

    test.each(types)('numbers of %s come out as they went in', async (type) => {
      const model = await load(identityOf(type))
      const given = extremesOf(type)
      const y = (await run(model, { x: given })).get('y')!
      expect(y).toEqual({ type, shape: [2, 2], data: given.data })
    })

    test('several inputs and outputs keep their places', async () => {
      const model = await load(ADD_SUBTRACT)
      const answer = await run(model, { q: fp32([1, 2], [1, 10]), p: fp32([1, 2], [5, 7]) })
      expect([...answer.keys()]).toEqual(['sum', 'difference'])
      near(answer.get('sum'), [6, 17])
      near(answer.get('difference'), [4, -3])
    })

    test('a DAG: what one model makes, two others take; only what is asked for is answered', async () => {
      const [scale, join] = await Promise.all([load(SCALE), load(JOIN)])
      const rows = [
        [1, 2, 3, 4],
        [4, -3, 2.5, 0],
      ]
      const dag = {
        nodes: [
          { model: scale, inputs: ['raw'], outputs: ['x', 'how far'] },
          { model: softmax, inputs: ['x'], outputs: ['p'] },
          { model: join, inputs: ['p', 'how far', 'flag'], outputs: ['result'] },
        ],
        outputs: ['result', 'raw', 'x'],
      }
      const raw = fp32([2, 4], rows.flat())
      const flag: Tensor = { type: 'BOOL', shape: [2, 1], data: Uint8Array.of(1, 0) }
      const answer = await subject.runtime.execute(
        dag,
        new Map([
          ['raw', raw],
          ['flag', flag],
        ]),
      )
      expect([...answer.keys()]).toEqual(['result', 'raw', 'x'])
      expect(answer.get('raw')!.data).toEqual(raw.data)
      near(answer.get('x'), rows.flatMap(scaleOf))
      const expected = rows.flatMap((row, n) => {
        const scaled = scaleOf(row)
        const size = scaled.reduce((sum, value) => sum + Math.abs(value), 0) / 4
        return [...softmaxOf(scaled), size, 1 - n]
      })
      near(answer.get('result'), expected)
    })

    test('the same model twice in a DAG, and an input that two models take', async () => {
      const model = await load(ADD_SUBTRACT)
      const dag = {
        nodes: [
          { model, inputs: ['a', 'b'], outputs: ['s', 'd'] },
          { model, inputs: ['s', 'a'], outputs: ['more', 'less'] },
        ],
        outputs: ['more', 'less', 'd'],
      }
      const [a, b] = [fp32([1, 2], [1, 2]), fp32([1, 2], [10, 20])]
      const answer = await subject.runtime.execute(dag, new Map(Object.entries({ a, b })))
      near(answer.get('more'), [12, 24])
      near(answer.get('less'), [10, 20])
      near(answer.get('d'), [-9, -18])
    })

    const wrong: [string, Tensor][] = [
      ['another type', { type: 'FP64', shape: [1, 4], data: new Float64Array(4) }],
      ['another length', fp32([1, 5], [1, 2, 3, 4, 5])],
      ['fewer dimensions', fp32([4], [1, 2, 3, 4])],
      ['fewer numbers than its shape wants', fp32([2, 4], [1, 2, 3, 4])],
      ['a shape that is none', fp32([-1, -4], [1, 2, 3, 4])],
      ['an array of another type', { type: 'FP32', shape: [1, 4], data: new Int32Array(4) }],
    ]
    test.each(wrong)('an input of %s is refused by its name', async (_, tensor) => {
      await expect(run(softmax, { x: tensor })).rejects.toMatchObject({
        ...{ status: 400, code: 'invalid_tensor', param: 'x' },
      })
      await stillRuns()
    })

    test('an input that is missing, one too many, and a BOOL that is neither', async () => {
      const refused = (param: string) => ({ status: 400, code: 'invalid_tensor', param })
      await expect(run(softmax, {})).rejects.toMatchObject(refused('x'))
      await expect(run(softmax, { x, z: x })).rejects.toMatchObject(refused('z'))
      const identity = await load(identityOf('BOOL'))
      const two: Tensor = { type: 'BOOL', shape: [1, 2], data: Uint8Array.of(1, 2) }
      await expect(run(identity, { x: two })).rejects.toMatchObject(refused('x'))
    })

    test('models that do not fit together are refused before anything runs', async () => {
      const lookUp = await load(LOOK_UP)
      const first = { model: softmax, inputs: ['x'], outputs: ['p'] }
      const failed = { status: 422, code: 'inference_failed' }
      const inputs = new Map([['x', x]])
      const execute = (...nodes: { model: LoadedModel; inputs: string[]; outputs: string[] }[]) =>
        subject.runtime.execute({ nodes, outputs: ['y'] }, inputs)
      await expect(execute(first, { model: lookUp, inputs: ['p'], outputs: ['y'] })).rejects.toMatchObject(
        failed,
      )
      await expect(execute(first, { model: softmax, inputs: ['p'], outputs: ['y'] })).rejects.toMatchObject(
        failed,
      )
      await expect(execute({ ...first, inputs: ['x', 'x'] })).rejects.toMatchObject(failed)
      await expect(execute({ ...first, outputs: ['x'] })).rejects.toMatchObject(failed)
      await expect(execute(first)).rejects.toMatchObject(failed)
    })

    const broken: [string, Uint8Array][] = [
      ['nothing', new Uint8Array()],
      ['text', new TextEncoder().encode('this is not a model')],
      ['half a model', SOFTMAX.slice(0, 200)],
      ['a model with a byte changed', SOFTMAX.with(30, 0xff)],
      ['noise', Uint8Array.from({ length: 5_000 }, (_, n) => (n * 7919) % 251)],
      [
        'an operator that there is not',
        buildOnnx({
          inputs: [{ name: 'x', type: 'FP32', shape: [1] }],
          outputs: [{ name: 'y', type: 'FP32', shape: [1] }],
          nodes: [{ op: 'Levitate', inputs: ['x'], outputs: ['y'] }],
        }),
      ],
      [
        'an output that is no tensor',
        buildOnnx({
          inputs: [{ name: 'x', type: 'FP32', shape: [1] }],
          outputs: [{ name: 'y', type: 'SEQUENCE', shape: [1] }],
          nodes: [{ op: 'SequenceConstruct', inputs: ['x'], outputs: ['y'] }],
        }),
      ],
      [
        'texts',
        buildOnnx({
          inputs: [{ name: 'x', type: 'STRING', shape: [1] }],
          outputs: [{ name: 'y', type: 'STRING', shape: [1] }],
          nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
        }),
      ],
      [
        'weights in another file',
        buildOnnx({
          inputs: [{ name: 'x', type: 'UINT8', shape: [4] }],
          outputs: [{ name: 'y', type: 'UINT8', shape: [4] }],
          constants: [
            { name: 'w', type: 'UINT8', shape: [4], data: new Uint8Array(4), externalFile: '/etc/passwd' },
          ],
          nodes: [{ op: 'Max', inputs: ['x', 'w'], outputs: ['y'] }],
        }),
      ],
    ]
    test.each(broken)('%s is refused as a model, and others run on', async (_, bytes) => {
      const loading = subject.runtime.load({ key: unique('broken'), format: 'onnx', bytes })
      await expect(loading).rejects.toMatchObject({ status: 422, code: 'invalid_model' })
      await stillRuns()
    })

    test('a model that fails says why, and the next call runs', async () => {
      const model = await load(LOOK_UP)
      const row = (...numbers: bigint[]): Tensor => ({
        ...{ type: 'INT64', shape: [numbers.length], data: BigInt64Array.from(numbers) },
      })
      await expect(run(model, { row: row(9n) })).rejects.toMatchObject({
        ...{ status: 422, code: 'inference_failed', message: expect.stringMatching(/indices|bounds/) },
      })
      near((await run(model, { row: row(2n, 0n) })).get('y'), [5, 6, 1, 2])
    })

    test('a DAG ends at the model that fails', async () => {
      const model = await load(LOOK_UP)
      const dag = {
        nodes: [
          { model: softmax, inputs: ['x'], outputs: ['p'] },
          { model, inputs: ['row'], outputs: ['y'] },
        ],
        outputs: ['p', 'y'],
      }
      const row: Tensor = { type: 'INT64', shape: [1], data: BigInt64Array.of(3n) }
      const inputs = new Map([
        ['x', x],
        ['row', row],
      ])
      const answer = subject.runtime.execute(dag, inputs)
      await expect(answer).rejects.toMatchObject({ status: 422, code: 'inference_failed' })
    })

    test('numbers that are a part of a larger buffer', async () => {
      const data = new Float32Array([9, 9, 1, 2, 3, 4, 9]).subarray(2, 6)
      near((await run(softmax, { x: { ...x, data } })).get('y'), softmaxOf([1, 2, 3, 4]))
    })

    test('many calls at once get their own answers', async () => {
      const rows = Array.from({ length: 300 }, (_, n) => [n / 100, -n / 50, 1, 0])
      const answers = await Promise.all(rows.map((row) => run(softmax, { x: fp32([1, 4], row) })))
      for (const [n, answer] of answers.entries()) near(answer.get('y'), softmaxOf(rows[n]!))
    })

    test(`a tensor without rows is ${odd}`, async () => {
      const empty = fp32([0, 4], [])
      if (odd === 'run') {
        expect((await run(softmax, { x: empty })).get('y')).toEqual(fp32([0, 3], []))
        return
      }
      await expect(run(softmax, { x: empty })).rejects.toMatchObject({ status: 400, param: 'x' })
    })

    test(`a model that makes a scalar is ${odd}`, async () => {
      const bytes = buildOnnx({
        inputs: [{ name: 'x', type: 'FP32', shape: ['n', 4] }],
        outputs: [{ name: 'y', type: 'FP32', shape: [] }],
        nodes: [{ op: 'ReduceMean', inputs: ['x'], outputs: ['y'], attributes: { keepdims: 0 } }],
      })
      if (odd === 'run') {
        expect((await run(await load(bytes), { x })).get('y')).toEqual(fp32([], [2.5]))
        return
      }
      await expect(load(bytes)).rejects.toMatchObject({ status: 422, code: 'invalid_model' })
      await stillRuns()
    })

    test(`a model that may find nothing is ${odd}`, async () => {
      const bytes = buildOnnx({
        inputs: [{ name: 'x', type: 'FP32', shape: ['n', 4] }],
        outputs: [{ name: 'y', type: 'INT64', shape: ['found', 2] }],
        nodes: [
          { op: 'NonZero', inputs: ['x'], outputs: ['places'] },
          { op: 'Transpose', inputs: ['places'], outputs: ['y'] },
        ],
      })
      if (odd === 'run') {
        const y = (await run(await load(bytes), { x: fp32([1, 4], [0, 0, 0, 0]) })).get('y')
        expect(y).toMatchObject({ shape: [0, 2] })
        return
      }
      await expect(load(bytes)).rejects.toMatchObject({ status: 422, code: 'invalid_model' })
      await stillRuns()
    })

    test('types that a runtime lacks are refused when the model is loaded', async () => {
      for (const type of TENSOR_TYPES.filter((type) => !types.includes(type))) {
        const loading = subject.runtime.load({ key: unique('type'), format: 'onnx', bytes: identityOf(type) })
        await expect(loading).rejects.toMatchObject({ status: 400, code: 'unsupported_format' })
      }
    })

    test('a caller who has left is not served, and its reason comes back', async () => {
      const reason = new Error('the caller left')
      const signal = AbortSignal.abort(reason)
      await expect(run(softmax, { x }, { signal })).rejects.toBe(reason)
      const loading = subject.runtime.load(
        { key: unique('left'), format: 'onnx', bytes: SOFTMAX },
        { signal },
      )
      await expect(loading).rejects.toBe(reason)
    })

    if (leaves) {
      test('a caller who leaves while a model runs is let go', async () => {
        const model = await load(SLOW)
        const leave = new AbortController()
        const reason = new Error('the caller left')
        const left = run(model, { x: slowRows(256) }, { signal: leave.signal })
        setTimeout(() => leave.abort(reason), 1)
        await expect(left).rejects.toBe(reason)
        await stillRuns()
      })

      test('a run has a deadline', async () => {
        const model = await load(SLOW)
        const late = run(model, { x: slowRows(256) }, { timeoutMs: 1 })
        await expect(late).rejects.toMatchObject({ status: 504, code: 'inference_timeout' })
        await stillRuns()
      })
    }

    test('a model that is closed ends its runs first, and takes no more', async () => {
      const model = await load(SLOW)
      const running = run(model, { x: slowRows(8) })
      await Promise.all([model.close(), model.close()])
      expect((await running).get('y')).toMatchObject({ shape: [8, 1024] })
      const closed = run(model, { x: slowRows(1) })
      await expect(closed).rejects.toMatchObject({ status: 503, code: 'runtime_unavailable' })
      await stillRuns()
    })

    test('two models of the same file are two', async () => {
      const file = { key: unique('twice'), format: 'onnx' as const, bytes: SOFTMAX }
      const [one, other] = await Promise.all([subject.runtime.load(file), subject.runtime.load(file)])
      await one.close()
      near((await run(other, { x })).get('y'), softmaxOf([1, 2, 3, 4]))
      await other.close()
    })
  })
}

function near(tensor: Tensor | undefined, expected: readonly number[]) {
  expect(tensor?.data).toHaveLength(expected.length)
  for (const [i, value] of expected.entries())
    expect(Math.abs(Number(tensor!.data[i]) - value)).toBeLessThan(1e-5)
}
