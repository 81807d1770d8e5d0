import { HubError } from '../errors.ts'
import type { Tensor } from '../ports/model-runtime.ts'
import { toTensorBytes } from '../tensors.ts'
import { toJsonData } from './oip-data.ts'
import type { OipReply } from './oip-schema.ts'

interface UnwrittenReply extends Omit<OipReply, 'outputs'> {
  outputs: ReadonlyMap<string, Tensor>
}

/**
 * The body of a reply: JSON alone, or followed by the outputs for which `isBinary`, `headerLength` being the JSON's length in bytes.
 *
 * Errors: `HubError` `not_a_number` (422), `binary_only` (400): what JSON cannot say of an output.
 */
export function writeReply(
  { outputs, ...head }: UnwrittenReply,
  isBinary: (output: string) => boolean,
): { body: string | Uint8Array<ArrayBuffer>; headerLength?: number } {
  const blobs: Uint8Array[] = []
  const written: string[] = []
  for (const [name, tensor] of outputs) {
    const { type: datatype, shape } = tensor
    if (!isBinary(name)) {
      const data = jsonOf(name, tensor)
      written.push(`${JSON.stringify({ name, datatype, shape }).slice(0, -1)},"data":${data}}`)
      continue
    }
    const bytes = toTensorBytes(tensor)
    const parameters = { binary_data_size: bytes.length }
    written.push(JSON.stringify({ name, datatype, shape, parameters }))
    blobs.push(bytes)
  }
  // Written by hand: JSON.stringify knows no 64-bit integers.
  const json = `${JSON.stringify(head).slice(0, -1)},"outputs":[${written.join(',')}]}`
  if (blobs.length === 0) return { body: json }
  const start = new TextEncoder().encode(json)
  return { body: concat([start, ...blobs]), headerLength: start.length }
}

function jsonOf(name: string, tensor: Tensor): string {
  const wayOut = 'Ask for it as binary data: `"parameters": {"binary_data": true}`.'
  if (tensor.type === 'FP16') {
    const message = `outputs: JSON has no FP16, and the output ${name} is. ${wayOut}`
    throw new HubError({ code: 'binary_only', status: 400, message, param: 'outputs' })
  }
  const data = toJsonData(tensor)
  if (data !== undefined) return data
  const message = `The output ${name} holds NaN or an infinity, which JSON cannot say. ${wayOut}`
  throw new HubError({ code: 'not_a_number', status: 422, message, param: 'outputs' })
}

function concat(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
