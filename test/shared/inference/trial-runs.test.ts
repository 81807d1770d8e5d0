import { afterAll, expect, it } from 'vitest'
import { buildOnnx, type OnnxModel } from '../../../infra/examples/onnx-builder.ts'
import { createRuntimeOnnx } from '../../../shared/drivers/runtime-onnx.ts'
import { hasIndependentRows } from '../../../shared/inference/trial-runs.ts'
import { buildMlp } from '../../support/mlp.ts'
import { logarithm, softmax } from '../../support/models.ts'

const runtime = createRuntimeOnnx()
afterAll(() => runtime.close())

const vector = (type: 'FP32' | 'INT64' | 'FP16', first: string | number) =>
  ({ type, shape: [first, 2] }) as const

const one = (op: string, axis: number, first: string | number = 'n', type: 'FP32' | 'FP16' = 'FP32') => {
  const value = vector(type, first)
  const model: OnnxModel = {
    inputs: [{ name: 'x', ...value }],
    outputs: [{ name: 'y', ...value }],
    nodes: [{ op, inputs: ['x'], outputs: ['y'], attributes: axis < 0 ? {} : { axis } }],
  }
  return buildOnnx(model)
}

const embedding = buildOnnx({
  inputs: [{ name: 'ids', type: 'INT64', shape: ['n', 2] }],
  outputs: [{ name: 'y', type: 'FP32', shape: ['n', 2, 3] }],
  constants: [{ name: 'table', type: 'FP32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
  nodes: [{ op: 'Gather', inputs: ['table', 'ids'], outputs: ['y'] }],
})

/** Subtracts the mean of all rows. */
const centred = buildOnnx({
  inputs: [{ name: 'x', ...vector('FP32', 'n') }],
  outputs: [{ name: 'y', ...vector('FP32', 'n') }],
  nodes: [
    { op: 'ReduceMean', inputs: ['x'], outputs: ['mean'], attributes: { axes: [0] } },
    { op: 'Sub', inputs: ['x', 'mean'], outputs: ['y'] },
  ],
})

it.each([
  ['softmax over columns', true, softmax],
  ['layers', true, buildMlp([8, 16, 4])],
  ['an embedding of tokens', true, embedding],
  ['a logarithm, NaN and all', true, logarithm()],
  ['softmax over rows', false, one('Softmax', 0)],
  ['a difference from the mean of all rows', false, centred],
  ['a fixed number of rows', false, one('Relu', -1, 3)],
  ['half precision', false, one('Relu', -1, 'n', 'FP16')],
])('rows of %s may be joined: %s', async (_, expected, bytes) => {
  const model = await runtime.load({ key: 'm', format: 'onnx', bytes })
  expect(await hasIndependentRows(runtime, model)).toBe(expected)
  await model.close()
})
