import type { TensorData, TensorType } from '../../shared/ports/model-runtime.ts'

/** A number is a fixed length, a name any length, null any length without a name. */
type Dimension = number | string | null

interface OnnxValue {
  name: string
  /** `STRING` and `SEQUENCE` (of float tensors) are for what a runtime must refuse. */
  type: TensorType | 'STRING' | 'SEQUENCE'
  /** Absent: the model does not say. */
  shape?: readonly Dimension[]
}

export interface OnnxNode {
  op: string
  inputs: readonly string[]
  outputs: readonly string[]
  /** Whole numbers are written as INT: use `{ float: 1 }` for a FLOAT that is one. */
  attributes?: Readonly<Record<string, number | { float: number } | readonly number[]>>
}

export interface OnnxConstant {
  name: string
  type: TensorType
  shape: readonly number[]
  data: TensorData
  /** Says that the values lie in this file instead. */
  externalFile?: string
}

export interface OnnxModel {
  inputs: readonly OnnxValue[]
  outputs: readonly OnnxValue[]
  constants?: readonly OnnxConstant[]
  /** Each one after those that make its inputs. */
  nodes: readonly OnnxNode[]
  /** Default 13. */
  opset?: number
}

/**
 * Writes a model as ONNX bytes (IR version 7).
 *
 * @example
 * const relu = buildOnnx({
 *   inputs: [{ name: 'x', type: 'FP32', shape: ['n', 4] }],
 *   outputs: [{ name: 'y', type: 'FP32', shape: ['n', 4] }],
 *   nodes: [{ op: 'Relu', inputs: ['x'], outputs: ['y'] }],
 * })
 */
export function buildOnnx({ inputs, outputs, nodes, constants = [], opset = 13 }: OnnxModel): Uint8Array {
  const graph = [
    ...nodes.map((node) => bytes(1, toNode(node))),
    text(2, 'graph'),
    ...constants.map((constant) => bytes(5, toTensor(constant))),
    ...inputs.map((value) => bytes(11, toValue(value))),
    ...outputs.map((value) => bytes(12, toValue(value))),
  ]
  return join([
    int(1, 7),
    text(2, 'redis-ai-hub'),
    bytes(7, join(graph)),
    bytes(8, join([text(1, ''), int(2, opset)])),
  ])
}

/** Of `TensorProto.DataType`. */
const TYPES = {
  ...{ FP32: 1, UINT8: 2, INT8: 3, UINT16: 4, INT16: 5, INT32: 6, INT64: 7, STRING: 8, BOOL: 9 },
  ...{ FP16: 10, FP64: 11, UINT32: 12, UINT64: 13 },
} as const

function toNode({ op, inputs, outputs, attributes = {} }: OnnxNode): Uint8Array {
  return join([
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, op),
    ...Object.entries(attributes).map(([name, value]) => bytes(5, toAttribute(name, value))),
  ])
}

function toAttribute(name: string, value: number | { float: number } | readonly number[]): Uint8Array {
  const [FLOAT, INT, INTS] = [1, 2, 7]
  if (typeof value === 'object' && 'float' in value)
    return join([text(1, name), float(2, value.float), int(20, FLOAT)])
  if (typeof value !== 'number')
    return join([text(1, name), ...value.map((one) => int(8, one)), int(20, INTS)])
  if (!Number.isInteger(value)) return join([text(1, name), float(2, value), int(20, FLOAT)])
  return join([text(1, name), int(3, value), int(20, INT)])
}

function toTensor({ name, type, shape, data, externalFile }: OnnxConstant): Uint8Array {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const location = externalFile && join([text(1, 'location'), text(2, externalFile)])
  return join([
    ...shape.map((length) => int(1, length)),
    int(2, TYPES[type]),
    text(8, name),
    ...(location ? [bytes(13, location), int(14, 1)] : [bytes(9, raw)]),
  ])
}

function toValue({ name, type, shape }: OnnxValue): Uint8Array {
  const dimensions = shape?.map((dimension) => {
    if (dimension === null) return bytes(1, new Uint8Array())
    return bytes(1, typeof dimension === 'number' ? int(1, dimension) : text(2, dimension))
  })
  const tensor = join([
    int(1, TYPES[type === 'SEQUENCE' ? 'FP32' : type]),
    ...(dimensions ? [bytes(2, join(dimensions))] : []),
  ])
  const tensorType = bytes(1, tensor)
  return join([text(1, name), bytes(2, type === 'SEQUENCE' ? bytes(4, bytes(1, tensorType)) : tensorType)])
}

function varint(value: number | bigint): number[] {
  const out: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128)
  out.push(Number(rest))
  return out
}

const int = (field: number, value: number) => Uint8Array.from([...varint(field << 3), ...varint(value)])

const float = (field: number, value: number) =>
  join([Uint8Array.from(varint((field << 3) | 5)), new Uint8Array(Float32Array.of(value).buffer)])

const bytes = (field: number, value: Uint8Array) =>
  join([Uint8Array.from([...varint((field << 3) | 2), ...varint(value.length)]), value])

const text = (field: number, value: string) => bytes(field, new TextEncoder().encode(value))

function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
