import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { buildOnnx, type OnnxModel } from '../../infra/examples/onnx-builder.ts'
import { readOnnxModel } from '../../shared/drivers/onnx-model.ts'
import { SOFTMAX } from '../ports/model-runtime.models.ts'
import { buildMlp } from '../support/mlp.ts'

test('the small model that was made by hand', () => {
  const { inputs, outputs, operators } = readOnnxModel(SOFTMAX)
  expect(inputs).toEqual([{ name: 'x', type: 'FP32', shape: [-1, 4] }])
  expect(outputs).toEqual([{ name: 'y', type: 'FP32', shape: [-1, 3] }])
  expect([...operators]).toEqual(['MatMul', 'Add', 'Softmax'])
})

test('models of others, that went to RedisAI and came back with its names of inputs and outputs', () => {
  const lines = readFileSync(new URL('../fixtures/redisai.jsonl', import.meta.url), 'latin1')
    .trim()
    .split('\n')
  const blobs = lines
    .map((line) => JSON.parse(line))
    .filter(({ name, proto }) => proto === 2 && /^modelget-meta-blob$|^modelget-unknown-format$/.test(name))
    .map(({ reply_b64 }) => Buffer.from(reply_b64, 'base64'))
  expect(blobs).toHaveLength(2)
  for (const reply of blobs) {
    const text = reply.toString('latin1')
    const [, length] = /blob\r\n\$(\d+)\r\n/.exec(text)!
    const model = readOnnxModel(reply.subarray(-2 - Number(length), -2))
    for (const side of ['inputs', 'outputs'] as const) {
      const [, list] = new RegExp(
        `${side}\\r\\n\\*\\d+\\r\\n((?:\\$\\d+\\r\\n[a-z]+\\r\\n)+?)(?=\\$(?:7|15)\\r\\n)`,
      ).exec(text)!
      expect(model[side].map(({ name }) => name)).toEqual(list!.match(/[a-z]+/g))
    }
  }
})

const PLAIN: OnnxModel = {
  inputs: [{ name: 'x', type: 'FP32', shape: ['n', null, 3] }],
  outputs: [{ name: 'y', type: 'FP32' }],
  nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
}

test('lengths that are open, and a shape that is', () => {
  const { inputs, outputs } = readOnnxModel(buildOnnx(PLAIN))
  expect(inputs).toEqual([{ name: 'x', type: 'FP32', shape: [-1, -1, 3] }])
  expect(outputs).toEqual([{ name: 'y', type: 'FP32', shape: [], anyShape: true }])
  const scalar = buildOnnx({ ...PLAIN, outputs: [{ name: 'y', type: 'FP32', shape: [] }] })
  expect(readOnnxModel(scalar).outputs).toEqual([{ name: 'y', type: 'FP32', shape: [] }])
})

test('a constant that is listed among the inputs is none', () => {
  const w = { name: 'w', type: 'FP32', shape: [3] } as const
  const bytes = buildOnnx({
    ...PLAIN,
    inputs: [w, ...PLAIN.inputs],
    constants: [{ ...w, data: new Float32Array(3) }],
  })
  expect(readOnnxModel(bytes).inputs.map(({ name }) => name)).toEqual(['x'])
})

test('every prefix of a model is read or refused, and nothing else', () => {
  const bytes = buildMlp([3, 4, 2], () => 0.5)
  for (let length = 0; length < bytes.length; length++) {
    try {
      readOnnxModel(bytes.subarray(0, length))
    } catch (error) {
      expect(error, `${length} bytes`).toMatchObject({ code: 'invalid_model' })
    }
  }
})

test('any byte changed: read or refused, and nothing else', () => {
  const bytes = buildMlp([3, 4, 2], () => 0.5)
  for (let at = 0; at < bytes.length; at++) {
    for (const value of [0, 0x7f, 0x80, 0xff]) {
      try {
        readOnnxModel(bytes.with(at, value))
      } catch (error) {
        expect(error, `${value} at ${at}`).toMatchObject({ code: 'invalid_model' })
      }
    }
  }
})
