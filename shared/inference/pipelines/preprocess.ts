import type { PreprocessStep } from './definition.ts'
import { each, invalid, type Kind, listOf, MOST_WIDTH, numbers, type Value, widthOf } from './value.ts'

/** Steps that need nothing but the row. */
export type PlainStep = Exclude<PreprocessStep, { op: 'window' | 'embed' }>

export interface Prepared {
  kind: Kind
  /** Of the values of `from`, in order. Throws 400 for what it does not take. */
  run(values: readonly Value[]): Value
}

/** A step as a function, and what it makes of values of these kinds. Throws 400 with the path where it does not take them. */
export function toPrepared(step: PlainStep, kinds: readonly Kind[], path: string): Prepared {
  if (step.op === 'one_hot') return oneHot(step, kinds[0]!, path)
  const widths = kinds.map((kind, n) => {
    const width = widthOf(kind)
    if (width !== undefined) return width
    throw invalid(
      kinds.length > 1 ? `${path}.from[${n}]` : `${path}.from`,
      'is a text, which this takes none of',
    )
  })
  const [kind, width] = [kinds[0]!, widths[0]!]
  switch (step.op) {
    case 'scale': {
      const { base, divisor } = toScale(step, width, path)
      const isOne = base.length === 1 && divisor.length === 1
      const work = isOne
        ? (x: number) => (x - base[0]!) / divisor[0]!
        : (x: number, n: number) => (x - base[n % base.length]!) / divisor[n % divisor.length]!
      return { kind, run: ([value]) => each(value!, work) }
    }
    case 'clip': {
      const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = step
      if (min > max) throw invalid(`${path}.min`, 'must be at most `max`')
      return { kind, run: ([value]) => each(value!, (x) => Math.min(Math.max(x, min), max)) }
    }
    case 'log':
      return { kind, run: ([value]) => each(value!, (x) => Math.log(x + step.offset)) }
    case 'bucketize':
      return { kind, run: ([value]) => each(value!, (x) => countUpTo(step.boundaries, x)) }
    case 'concat': {
      const total = widths.reduce((sum, one) => sum + one, 0)
      if (total > MOST_WIDTH) throw invalid(path, `makes ${total} numbers; at most are ${MOST_WIDTH}`)
      const wanted = step.shape?.reduce((product, length) => product * length, 1)
      if (wanted !== undefined && wanted !== total)
        throw invalid(`${path}.shape`, `wants ${wanted} numbers, and there are ${total}`)
      return { kind: numbers(total), run: (values) => (total === 1 ? values[0]! : values.flatMap(listOf)) }
    }
  }
}

function oneHot(step: Extract<PlainStep, { op: 'one_hot' }>, { type }: Kind, path: string): Prepared {
  if (type === 'vector') throw invalid(`${path}.from`, 'is a vector: this takes a number or a text')
  const { categories } = step
  const wrong = categories.findIndex((one) => typeof one !== (type === 'text' ? 'string' : 'number'))
  if (wrong >= 0) throw invalid(`${path}.categories[${wrong}]`, `must be a ${type}, as the value is one`)
  const places = new Map(categories.map((category, n) => [category as Value, n]))
  return {
    kind: numbers(categories.length),
    run([value]) {
      const place = places.get(value!)
      if (place === undefined && step.unknown === 'error')
        throw invalid(path, `there is no category ${JSON.stringify(value).slice(0, 100)}`)
      if (categories.length === 1) return place === undefined ? 0 : 1
      const row = new Array<number>(categories.length).fill(0)
      if (place !== undefined) row[place] = 1
      return row
    },
  }
}

function toScale({ mean, std, min, max }: Extract<PlainStep, { op: 'scale' }>, width: number, path: string) {
  const sides = { mean, std, min, max }
  for (const [name, side] of Object.entries(sides)) {
    if (Array.isArray(side) && width % side.length !== 0)
      throw invalid(
        `${path}.${name}`,
        `has ${side.length} numbers, and the value ${width}: they do not go into it evenly`,
      )
  }
  if (mean !== undefined) return { base: [mean].flat(), divisor: [std!].flat() }
  const [low, high] = [[min!].flat(), [max!].flat()]
  const isAlike = low.length === high.length || low.length === 1 || high.length === 1
  const length = isAlike ? Math.max(low.length, high.length) : width
  const divisor = Array.from({ length }, (_, n) => high[n % high.length]! - low[n % low.length]!)
  return { base: low, divisor }
}

/** How many of rising boundaries are at most x. */
function countUpTo(boundaries: readonly number[], x: number): number {
  let [from, to] = [0, boundaries.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (boundaries[middle]! <= x) from = middle + 1
    else to = middle
  }
  return from
}
