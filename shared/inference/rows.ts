import type { Tensor } from '../ports/model-runtime.ts'
import { countElements } from '../tensors.ts'
import { createData } from './tensors.ts'

/** How many rows all inputs have; undefined where they do not agree. */
export function rowsOf(inputs: ReadonlyMap<string, Tensor>): number | undefined {
  let rows: number | undefined
  for (const { shape } of inputs.values()) {
    if (rows !== undefined && shape[0] !== rows) return undefined
    rows = shape[0]
  }
  return rows
}

/** What must be equal for rows to be joined: everything but their number, in the order of `names`. */
export function rowShapeOf(inputs: ReadonlyMap<string, Tensor>, names: readonly { name: string }[]): string {
  return names.map(({ name }) => inputs.get(name)!.shape.slice(1).join(',')).join(';')
}

/** One below the other; they are alike but for their number of rows. */
export function joinRows(parts: readonly ReadonlyMap<string, Tensor>[]): Map<string, Tensor> {
  const joined = new Map<string, Tensor>()
  for (const [name, { type, shape }] of parts[0]!) {
    const tensors = parts.map((part) => part.get(name)!)
    const rows = tensors.reduce((sum, { shape }) => sum + shape[0]!, 0)
    const whole = [rows, ...shape.slice(1)]
    const data = createData(type, countElements(whole)!)
    let at = 0
    for (const tensor of tensors) {
      data.set(tensor.data as never, at)
      at += tensor.data.length
    }
    joined.set(name, { type, shape: whole, data })
  }
  return joined
}

/** Parts of so many rows, in the memory of the whole; undefined where a tensor has not as many rows as the parts together. */
export function splitRows(
  whole: ReadonlyMap<string, Tensor>,
  counts: readonly number[],
): Map<string, Tensor>[] | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0)
  const parts = counts.map(() => new Map<string, Tensor>())
  for (const [name, { type, shape, data }] of whole) {
    if (shape[0] !== total) return undefined
    const width = data.length / total
    let at = 0
    counts.forEach((count, n) => {
      const slice = data.subarray(at * width, (at + count) * width)
      parts[n]!.set(name, { type, shape: [count, ...shape.slice(1)], data: slice })
      at += count
    })
  }
  return parts
}
