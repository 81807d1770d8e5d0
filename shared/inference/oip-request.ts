import { HubError } from '../errors.ts'
import type { Tensor } from '../ports/model-runtime.ts'
import { fromTensorBytes } from '../tensors.ts'
import { fromJsonData } from './oip-data.ts'
import type { OipRequest } from './oip-schema.ts'
import { invalidAt, isTensorType, TENSOR_TYPES } from './tensors.ts'

/** A body in two parts: JSON, and the inputs' bytes after it in the JSON's order. `headerLength` is the JSON's length in bytes. */
export function splitBinary(body: Uint8Array, headerLength: string): { text: string; binary: Uint8Array } {
  const length = /^\d{1,15}$/.test(headerLength) ? Number(headerLength) : Number.NaN
  if (!(length <= body.length)) {
    const param = 'Inference-Header-Content-Length'
    const message = `${param}: must be the length of the JSON in bytes; the whole body has ${body.length}.`
    throw new HubError({ code: 'invalid_value', status: 400, message, param })
  }
  return { text: new TextDecoder().decode(body.subarray(0, length)), binary: body.subarray(length) }
}

/**
 * The tensors of a request, in its order.
 *
 * Errors: `HubError` `invalid_tensor` (400); `param` tells which field.
 */
export function readInputs({ inputs }: OipRequest, binary: Uint8Array = NO_BYTES): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>()
  let at = 0
  for (const [index, input] of inputs.entries()) {
    const { name, datatype: type, shape, data } = input
    const path = `inputs[${index}]`
    if (tensors.has(name)) throw invalidAt(`${path}.name`, `The input ${name} is there twice.`)
    if (type === 'BYTES') {
      throw invalidAt(`${path}.datatype`, 'Models here take numbers, no BYTES. Encode texts first.')
    }
    if (!isTensorType(type)) {
      throw invalidAt(`${path}.datatype`, `There is no ${type}. There are: ${TENSOR_TYPES.join(', ')}.`)
    }
    const size = input.parameters?.binary_data_size
    if (size === undefined) {
      if (data === undefined) throw invalidAt(`${path}.data`, 'is missing, and so is `binary_data_size`.')
      tensors.set(name, { type, shape, data: fromJsonData(type, shape, data, path) })
      continue
    }
    const param = `${path}.parameters.binary_data_size`
    if (data !== undefined) throw invalidAt(param, 'is there, and so is `data`: send one of them.')
    if (at + size > binary.length) {
      throw invalidAt(param, `there are only ${binary.length - at} bytes left in the body.`)
    }
    const tensor = fromTensorBytes(type, shape, binary.subarray(at, at + size))
    if (!tensor) throw invalidAt(param, `${size} bytes are no ${type} of the shape [${shape.join(',')}].`)
    tensors.set(name, tensor)
    at += size
  }
  if (at === binary.length) return tensors
  throw invalidAt('body', `holds ${binary.length} bytes after its JSON; the inputs’ sizes add up to ${at}.`)
}

/** Whether an output is to come as bytes: its own word counts before the request's. */
export function wantsBinary({ outputs, parameters }: OipRequest, name: string): boolean {
  const own = outputs?.find((output) => output.name === name)?.parameters?.binary_data
  return own ?? parameters?.binary_data_output ?? false
}

const NO_BYTES = new Uint8Array()
