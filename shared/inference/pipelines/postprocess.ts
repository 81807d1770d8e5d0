import type { PostprocessStep } from './definition.ts'
import { each, invalid, listOf, type Value } from './value.ts'

/** What a step makes of a value of one row. Throws 400 for what it does not take. */
export function postprocess(step: PostprocessStep, value: Value, path: string): Value {
  if (typeof value === 'string') throw invalid(`${path}.from`, 'is a text, which this takes none of')
  switch (step.op) {
    case 'softmax':
      return softmax(listOf(value))
    case 'sigmoid':
      return each(numeric(value), (x) => 1 / (1 + Math.exp(-x)))
    case 'round':
      return each(numeric(value), (x) => roundTo(x, step.digits))
    case 'pick':
      return typeof step.index === 'number'
        ? at(listOf(value), step.index, path)
        : step.index.map((index) => at(listOf(value), index, path))
    case 'argmax': {
      const place = argmax(listOf(value))
      if (!step.labels) return place
      const label = step.labels[place]
      if (label !== undefined) return label
      throw invalid(`${path}.labels`, `there are ${step.labels.length}, and the greatest is at ${place}`)
    }
    case 'threshold': {
      const [x, ...more] = listOf(value)
      if (more.length > 0) throw invalid(`${path}.from`, 'is a vector: pick a number of it first')
      const isOver = x! >= step.value
      return step.labels ? step.labels[Number(isOver)]! : isOver
    }
  }
}

const numeric = (value: Value) => (typeof value === 'boolean' ? Number(value) : value)

/** Less the greatest, so that no power is infinite. */
function softmax(values: readonly number[]): number[] {
  const greatest = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const powers = values.map((value) => Math.exp(value - greatest))
  const sum = powers.reduce((total, power) => total + power, 0)
  return powers.map((power) => power / sum)
}

/** Of equal ones the first. */
function argmax(values: readonly number[]): number {
  let place = 0
  for (let n = 1; n < values.length; n++) if (values[n]! > values[place]!) place = n
  return place
}

/** Half away from zero, as written: 1.005 is 1.01 though the number is a little less. */
function roundTo(x: number, digits: number): number {
  if (!(Math.abs(x) * 10 ** digits < 2 ** 52)) return x // has no such digits
  const [mantissa, exponent = '0'] = String(Math.abs(x)).split('e')
  const scaled = Math.round(Number(`${mantissa}e${Number(exponent) + digits}`))
  return Math.sign(x) * Number(`${scaled}e${-digits}`)
}

function at(values: readonly number[], index: number, path: string): number {
  const value = values[index]
  if (value !== undefined) return value
  throw invalid(`${path}.index`, `is ${index}, and the value has ${values.length} numbers`)
}
