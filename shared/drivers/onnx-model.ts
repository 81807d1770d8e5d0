import type { TensorSpec, TensorType } from '../ports/model-runtime.ts'
import { invalidModel } from './runtime-dag.ts'

export interface OnnxModel {
  inputs: TensorSpec[]
  outputs: TensorSpec[]
  /** Names of all operators, those of inner graphs too. */
  operators: ReadonlySet<string>
}

/** Of `TensorProto.DataType` in onnx.proto. */
const TYPES: Readonly<Record<number, TensorType>> = {
  ...{ 1: 'FP32', 2: 'UINT8', 3: 'INT8', 4: 'UINT16', 5: 'INT16', 6: 'INT32', 7: 'INT64', 9: 'BOOL' },
  ...{ 10: 'FP16', 11: 'FP64', 12: 'UINT32', 13: 'UINT64' },
}

/**
 * Reads what an ONNX file says of its inputs and outputs, field by field as onnx.proto numbers them; weights are skipped. Whether
 * the file can be run is for a runtime to say. Errors: `invalid_model` (422), also for a model that takes or makes anything but
 * tensors of numbers, or keeps its weights in other files.
 */
export function readOnnxModel(bytes: Uint8Array): OnnxModel {
  try {
    return readModel(bytes)
  } catch (error) {
    if (error instanceof RangeError) throw invalidModel('The bytes are no ONNX model.', error)
    throw error
  }
}

function readModel(bytes: Uint8Array): OnnxModel {
  const operators = new Set<string>()
  let graph: Uint8Array | undefined
  for (const { field, part } of fieldsOf(bytes)) {
    if (field === 7) graph = part
    if (field === 25) walkGraph(part, 7, operators)
  }
  if (!graph) throw invalidModel('The bytes are no ONNX model: they hold no graph.')
  walkGraph(graph, 1, operators)

  const constants = new Set<string>()
  const inputs: TensorSpec[] = []
  const outputs: TensorSpec[] = []
  for (const { field, part } of fieldsOf(graph)) {
    if (field === 5) constants.add(textOf(part, 8))
    else if (field === 11) inputs.push(readValue(part))
    else if (field === 12) outputs.push(readValue(part))
  }
  // Up to IR version 3 a constant is listed among the inputs, as its default.
  const given = inputs.filter(({ name }) => !constants.has(name))
  for (const { name, type } of [...given, ...outputs]) {
    if (type !== undefined) continue
    throw invalidModel(
      `\`${name}\` is no tensor of numbers. Export the model without it; for scikit-learn with zipmap off.`,
    )
  }
  return { inputs: given, outputs, operators }
}

/** Collects operators, and refuses a tensor that lies in another file: a runtime would open it, whatever its path. */
function walkGraph(graph: Uint8Array, nodeField: 1 | 7, operators: Set<string>) {
  for (const { field, part } of fieldsOf(graph)) {
    if (field === nodeField) walkNode(part, operators)
    else if (field === 5 && nodeField === 1) mustHoldData(part)
  }
}

function walkNode(node: Uint8Array, operators: Set<string>) {
  for (const { field, part } of fieldsOf(node)) {
    if (field === 4) operators.add(decode(part))
    if (field !== 5) continue
    for (const attribute of fieldsOf(part)) {
      if (attribute.field === 5 || attribute.field === 10) mustHoldData(attribute.part)
      if (attribute.field === 6 || attribute.field === 11) walkGraph(attribute.part, 1, operators)
    }
  }
}

function mustHoldData(tensor: Uint8Array) {
  for (const { field, number } of fieldsOf(tensor)) {
    if (field !== 14 || number !== 1) continue
    throw invalidModel('The model keeps weights in other files. Export it as one file.')
  }
}

/** `type` is undefined for what is no tensor of numbers. */
function readValue(value: Uint8Array): TensorSpec {
  const name = textOf(value, 1)
  const tensor = partOf(partOf(value, 2), 1)
  const type = TYPES[numberOf(tensor, 1)] as TensorType
  const shape: number[] = []
  let isKnown = false
  for (const { field, part } of fieldsOf(tensor)) {
    if (field !== 2) continue
    isKnown = true
    for (const { part: dimension } of fieldsOf(part)) {
      const length = numberOf(dimension, 1, -1)
      shape.push(Number.isSafeInteger(length) ? length : -1)
    }
  }
  return { name, type, shape, ...(isKnown ? {} : { anyShape: true }) }
}

interface Field {
  field: number
  /** Of a varint; negative ones come out beyond 2^53. */
  number: number
  /** Of anything that has a length. */
  part: Uint8Array
}

const NOTHING = new Uint8Array()

/** The fields of a protobuf message. Errors: `RangeError` for bytes that are none. */
function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  let at = 0
  const varint = () => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]
      if (byte === undefined || scale > 2 ** 63) throw new RangeError('A number does not end')
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = varint()
    const [field, wire] = [Math.floor(tag / 8), tag % 8]
    const number = wire === 0 ? varint() : 0
    const length = wire === 2 ? varint() : wire === 1 ? 8 : wire === 5 ? 4 : 0
    if (field === 0 || ![0, 1, 2, 5].includes(wire) || at + length > bytes.length)
      throw new RangeError('A field does not fit')
    yield { field, number, part: wire === 2 ? bytes.subarray(at, at + length) : NOTHING }
    at += length
  }
}

function partOf(bytes: Uint8Array, wanted: number): Uint8Array {
  for (const { field, part } of fieldsOf(bytes)) if (field === wanted) return part
  return NOTHING
}

function numberOf(bytes: Uint8Array, wanted: number, otherwise = 0): number {
  for (const { field, number } of fieldsOf(bytes)) if (field === wanted) return number
  return otherwise
}

const textOf = (bytes: Uint8Array, wanted: number) => decode(partOf(bytes, wanted))

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
