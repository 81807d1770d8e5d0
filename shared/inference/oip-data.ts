import type { Tensor, TensorData, TensorType } from '../ports/model-runtime.ts'
import { countElements } from '../tensors.ts'
import { createData, invalidAt } from './tensors.ts'

/**
 * The `data` of a tensor in JSON, flat or nested as the shape says.
 *
 * Errors: `HubError` `invalid_tensor` (400); `param` is `<path>.data`, the message tells which element, counted in row-major order.
 */
export function fromJsonData(
  type: TensorType,
  shape: readonly number[],
  given: unknown,
  path: string,
): TensorData {
  const param = `${path}.data`
  if (type === 'FP16') {
    throw invalidAt(param, 'JSON has no FP16. Send it as binary data (`binary_data_size`).')
  }
  if (!Array.isArray(given)) throw invalidAt(param, 'must be an array of the elements.')
  const values: unknown[] = Array.isArray(given[0]) ? flatten(given, shape, param) : given
  const count = values.length
  if (count !== countElements(shape)) {
    const message = `there are ${count} elements, and the shape [${shape.join(',')}] wants others.`
    throw invalidAt(param, message)
  }
  const data = createData(type, count)
  const elements = data as { [index: number]: number | bigint }
  const convert = CONVERT[type]
  for (let i = 0; i < count; i++) {
    const element = convert(values[i])
    if (element === undefined) {
      throw invalidAt(param, `element ${i} is ${shownValue(values[i])}, which is no ${type}.`)
    }
    elements[i] = element
  }
  return data
}

/** An array in JSON, in row-major order. Undefined where JSON cannot say an element: NaN and the infinities. */
export function toJsonData({ type, data }: Tensor): string | undefined {
  if (type === 'BOOL')
    return `[${Array.from(data as Uint8Array, (bit) => (bit ? 'true' : 'false')).join(',')}]`
  if (type.startsWith('FP')) {
    for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return undefined
  }
  return `[${data.join(',')}]`
}

/** Whether `JSON.parse` may round an integer of it. */
export const needsExactJson = (text: string) => text.includes('INT64') && /\d{16}/.test(text)

/** `JSON.parse` with the integers beyond 2^53 as `bigint`. */
export function parseExactJson(text: string): unknown {
  return (JSON.parse as ExactParse)(text, (_, value, { source }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source!)
      ? BigInt(source!)
      : value,
  )
}

/** As engines have it since 2024, and not all type declarations. */
type ExactParse = (
  text: string,
  reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
) => unknown

/** Nested as the shape says, to the last level. */
function flatten(given: unknown[], shape: readonly number[], param: string): unknown[] {
  const flat: unknown[] = []
  const walk = (part: unknown, depth: number) => {
    if (depth === shape.length) return flat.push(part)
    if (!Array.isArray(part) || part.length !== shape[depth]) {
      throw invalidAt(param, `is not nested as the shape [${shape.join(',')}] says.`)
    }
    for (const inner of part) walk(inner, depth + 1)
  }
  walk(given, 0)
  return flat
}

/** Of a value in JSON; undefined where it is none of this type. */
type Convert = (value: unknown) => number | bigint | undefined

const CONVERT: Record<Exclude<TensorType, 'FP16'>, Convert> = {
  BOOL: (value) => (value === true || value === 1 ? 1 : value === false || value === 0 ? 0 : undefined),
  ...{ UINT8: integer(0, 0xff), UINT16: integer(0, 0xffff), UINT32: integer(0, 0xffff_ffff) },
  ...{ INT8: integer(-0x80, 0x7f), INT16: integer(-0x8000, 0x7fff), INT32: integer(-(2 ** 31), 2 ** 31 - 1) },
  UINT64: large((value) => BigInt.asUintN(64, value)),
  INT64: large((value) => BigInt.asIntN(64, value)),
  FP32: floating(Math.fround),
  FP64: floating((value) => value),
}

function integer(least: number, most: number): Convert {
  return (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
      ? (value as number)
      : undefined
}

function large(wrap: (value: bigint) => bigint): Convert {
  return (value) => {
    const whole = Number.isSafeInteger(value) ? BigInt(value as number) : value
    return typeof whole === 'bigint' && wrap(whole) === whole ? whole : undefined
  }
}

/** What overflows is no number of this type. */
function floating(round: (value: number) => number): Convert {
  return (value) => {
    const number = typeof value === 'bigint' ? Number(value) : value
    return typeof number === 'number' && Number.isFinite(round(number)) ? number : undefined
  }
}

function shownValue(value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  return String(JSON.stringify(value)).slice(0, 40)
}
