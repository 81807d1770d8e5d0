import { valueAt } from '../../events/value-at.ts'
import type { InputSettings } from './definition.ts'
import { invalid, type Kind, NUMBER, numbers, TEXT, type Value } from './value.ts'

/** What a pipeline is run for: the inputs by name, or an event that has them at the inputs' paths. */
export type RowSource = { inputs: Readonly<Record<string, unknown>> } | { event: object }

export type TypeSettings = Pick<InputSettings, 'type' | 'dimensions' | 'default'>

export interface PlannedInput extends TypeSettings {
  name: string
  path: string
  slot: number
}

/** Throws 400 where its settings do not go together. */
export function kindOf({ type, dimensions, default: standIn }: TypeSettings, path: string): Kind {
  if ((dimensions !== undefined) !== (type === 'vector'))
    throw invalid(`${path}.dimensions`, 'must be there for a vector, and for nothing else')
  if (standIn !== undefined) readValue({ type, dimensions }, standIn, `${path}.default`)
  return type === 'vector' ? numbers(dimensions!) : type === 'text' ? TEXT : NUMBER
}

/** Throws 400. */
export function readInput(input: PlannedInput, source: RowSource): Value {
  const { name, path } = input
  const isNamed = 'inputs' in source
  const given = isNamed
    ? Object.hasOwn(source.inputs, name)
      ? source.inputs[name]
      : undefined
    : valueAt(source.event, path)
  const param = isNamed ? `inputs.${name}` : path
  if (given !== undefined && given !== null) return readValue(input, given, param)
  if (input.default !== undefined) return readValue(input, input.default, param)
  throw invalid(param, `is missing: the pipeline takes a ${input.type} there`)
}

/** Throws 400 for a name that is no input: one that is misspelt would be taken for one that is left out. */
export function checkNames(inputs: readonly PlannedInput[], source: RowSource): void {
  if (!('inputs' in source)) return
  for (const name of Object.keys(source.inputs)) {
    if (inputs.some((input) => input.name === name)) continue
    throw invalid(`inputs.${name}`, `is none. There are: ${inputs.map((input) => input.name).join(', ')}`)
  }
}

/** Throws 400. */
export function readValue({ type, dimensions }: TypeSettings, given: unknown, param: string): Value {
  if (type === 'number' && Number.isFinite(given)) return given as number
  if (type === 'boolean' && typeof given === 'boolean') return Number(given)
  if (type === 'text' && typeof given === 'string') return given
  const isVector = type === 'vector' && Array.isArray(given) && given.length === dimensions
  if (isVector && given.every(Number.isFinite)) return given.length === 1 ? given[0] : given
  throw invalid(param, `must be ${EXPECTED[type]}${type === 'vector' ? ` (${dimensions})` : ''}`)
}

const EXPECTED = {
  number: 'a finite number',
  boolean: 'true or false',
  text: 'a text',
  vector: 'an array of finite numbers',
}
