import { HubError } from '../../errors.ts'
import type { Tensor, TensorType } from '../../ports/model-runtime.ts'
import { countElements } from '../../tensors.ts'
import { createData } from '../tensors.ts'
import type { Binding, BoundTensor } from './binding.ts'
import { invalid, listOf, notANumber, type Value } from './value.ts'
import type { OpenRow } from './windows.ts'

export interface ModelRow extends OpenRow {
  /** What models made of it, by name. */
  made: Map<string, Value>
}

interface RunOptions {
  timeoutMs: number
  signal: AbortSignal
  /** Told of rows that the models do not take. */
  fail(row: ModelRow, error: unknown): void
}

/**
 * Runs the models of a pipeline for its rows: as many at once as all models take, and row by row where one of them is bad, so that it
 * fails no other. Throws what is nobody's row's fault.
 */
export async function runModels(binding: Binding, rows: readonly ModelRow[], options: RunOptions) {
  const parts: ModelRow[][] = []
  for (let n = 0; n < rows.length; n += binding.batch) parts.push(rows.slice(n, n + binding.batch))
  await Promise.all(parts.map((part) => runPart(binding, part, options)))
}

async function runPart(binding: Binding, given: readonly ModelRow[], options: RunOptions): Promise<void> {
  const { timeoutMs, signal, fail } = options
  const rows = given.filter((row) => {
    try {
      for (const tensor of binding.tensors) mustHold(tensor, row)
      return true
    } catch (error) {
      fail(row, error)
      return false
    }
  })
  if (rows.length === 0) return
  try {
    const tensors = new Map(binding.tensors.map((tensor) => [tensor.name, toTensor(tensor, rows)]))
    for (const { runtime, dag, inputs } of binding.stages) {
      const into = new Map(inputs.map((name) => [name, tensors.get(name)!]))
      for (const [name, tensor] of await runtime.execute(dag, into, { timeoutMs, signal }))
        tensors.set(name, tensor)
    }
    const made = binding.outputs.map((name) => tensors.get(name)!)
    if (rows.length === 1 || made.every(({ shape }) => shape[0] === rows.length)) {
      for (const [n, tensor] of made.entries()) spread(binding.outputs[n]!, tensor, rows)
      return
    }
    // It makes other rows than it declares: of each alone it is clear which are its own.
  } catch (error) {
    const isRows = error instanceof HubError && error.status < 500
    if (!isRows) throw error
    if (rows.length === 1) return fail(rows[0]!, error)
  }
  for (const row of rows) await runPart(binding, [row], options)
}

function toTensor({ type, shape, width, slot, isBatched }: BoundTensor, rows: readonly ModelRow[]): Tensor {
  const data = createData(type, rows.length * width)
  const isLarge = data instanceof BigInt64Array || data instanceof BigUint64Array
  const elements = data as { [at: number]: number | bigint }
  let at = 0
  for (const { values } of rows) {
    const value = values[slot]!
    if (typeof value === 'object') for (const x of value) elements[at++] = isLarge ? BigInt(x) : x
    else elements[at++] = isLarge ? BigInt(value as number) : (value as number)
  }
  return { type, shape: isBatched ? [rows.length, ...shape] : shape, data }
}

/** Throws 422 for a number that is none, or that the type cannot hold. */
function mustHold({ name, type, slot }: BoundTensor, { values }: ModelRow) {
  const range = RANGES[type]
  for (const x of listOf(values[slot]!)) {
    if (!Number.isFinite(type === 'FP32' ? Math.fround(x) : x))
      throw notANumber(name, `the tensor \`${name}\``)
    if (range && !(Number.isInteger(x) && x >= range[0] && x <= range[1]))
      throw invalid(name, `${x} is no ${type}, of which the tensor is`)
  }
}

/** Integers as JSON knows them. */
const RANGES: Partial<Record<TensorType, readonly [number, number]>> = {
  ...{ BOOL: [0, 1], UINT8: [0, 0xff], UINT16: [0, 0xffff], UINT32: [0, 2 ** 32 - 1] },
  ...{ INT8: [-0x80, 0x7f], INT16: [-0x8000, 0x7fff], INT32: [-(2 ** 31), 2 ** 31 - 1] },
  UINT64: [0, Number.MAX_SAFE_INTEGER],
  INT64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
}

/** To each row its own part. */
function spread(name: string, { shape, data }: Tensor, rows: readonly ModelRow[]) {
  const width = countElements(shape)! / rows.length
  for (const [n, row] of rows.entries()) {
    const numbers = new Array<number>(width)
    for (let at = 0; at < width; at++) numbers[at] = Number(data[n * width + at])
    row.made.set(name, width === 1 ? numbers[0]! : numbers)
  }
}
