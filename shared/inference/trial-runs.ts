import type { LoadedModel, ModelRuntime, Tensor, TensorSpec } from '../ports/model-runtime.ts'
import { countElements } from '../tensors.ts'
import { joinRows } from './rows.ts'
import { runModel } from './run-model.ts'
import { createData } from './tensors.ts'

const TRIAL_MS = 10_000

/** Runs it once with zeros, so that the first caller does not pay for what a runtime does at the first run. */
export async function warmUp(runtime: ModelRuntime, model: LoadedModel): Promise<void> {
  if (model.inputs.some(({ anyShape }) => anyShape)) return // nobody knows which it takes
  const inputs = new Map(model.inputs.map((spec) => [spec.name, tensorOf(spec, () => 0)]))
  await runModel({ runtime, model }, inputs, { timeoutMs: TRIAL_MS })
}

/**
 * Whether rows of different callers may be run together: each input and output begins with a free dimension, and a row's answer
 * is the same alone and beside another. Declared shapes do not tell: the first dimension may be time, or scales may be taken over all rows.
 */
export async function hasIndependentRows(runtime: ModelRuntime, model: LoadedModel): Promise<boolean> {
  const specs = [...model.inputs, ...model.outputs]
  // Half precision is too coarse to tell a difference by.
  if (specs.some(({ shape, type }) => shape[0] !== -1 || type === 'FP16')) return false
  const rowOf = (row: number) =>
    new Map(model.inputs.map((spec) => [spec.name, tensorOf(spec, (at) => Math.sin(at * 1.7 + row * 5 + 1))]))
  const rows = [rowOf(0), rowOf(1)]
  const run = (inputs: ReadonlyMap<string, Tensor>) =>
    runModel({ runtime, model }, inputs, { timeoutMs: TRIAL_MS })
  try {
    const alone = [await run(rows[0]!), await run(rows[1]!)]
    const beside = await run(joinRows(rows))
    return [...joinRows(alone)].every(([name, tensor]) => isClose(tensor, beside.get(name)))
  } catch {
    return false // it does not take such numbers, so nothing is known
  }
}

/** Of the least size: a free dimension is 1. `value` is from -1 to 1. */
function tensorOf({ type, shape }: TensorSpec, value: (at: number) => number): Tensor {
  const sizes = shape.map((size) => Math.max(1, size))
  const data = createData(type, countElements(sizes)!)
  if (data instanceof Float32Array || data instanceof Float64Array) {
    for (let at = 0; at < data.length; at++) data[at] = value(at)
  } else if (type !== 'FP16') {
    // Tokens and indexes: 0 and 1 are mostly there.
    const isLarge = data instanceof BigInt64Array || data instanceof BigUint64Array
    const elements = data as { [at: number]: number | bigint }
    for (let at = 0; at < data.length; at++) {
      const bit = value(at) > 0 ? 1 : 0
      elements[at] = isLarge ? BigInt(bit) : bit
    }
  }
  return { type, shape: sizes, data }
}

/** Kernels for one row and for two round differently. */
function isClose(one: Tensor, other: Tensor | undefined): boolean {
  if (!other || String(one.shape) !== String(other.shape)) return false
  for (let at = 0; at < one.data.length; at++) {
    const [a, b] = [Number(one.data[at]), Number(other.data[at])]
    if (!Object.is(a, b) && !(Math.abs(a - b) <= 1e-4 * Math.max(1, Math.abs(a)))) return false
  }
  return true
}
