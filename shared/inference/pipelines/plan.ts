import { hash } from 'node:crypto'
import type { LookUpSettings, PipelineDefinition, PreprocessStep } from './definition.ts'
import { toPrepared } from './preprocess.ts'
import { kindOf, type PlannedInput, type TypeSettings } from './row-inputs.ts'
import { invalid, type Kind, MOST_WIDTH, numbers, type Value, widthOf } from './value.ts'

/** What a name stands for once everything is prepared. */
export interface PlannedValue {
  /** Its place among a row's values. */
  slot: number
  kind: Kind
  tensor?: Pick<Extract<PreprocessStep, { op: 'concat' }>, 'type' | 'shape'>
  /** Comes from the inputs alone: how. Two that come about alike have the same. */
  origin?: string
}

export interface PlannedStep {
  path: string
  from: readonly number[]
  to: number
  run(values: readonly Value[]): Value
}

export interface PlannedLookUp extends Pick<LookUpSettings, 'view' | 'max_age_seconds'> {
  name: string
  entity: number
  values: readonly (TypeSettings & { feature: string; slot: number })[]
}

export interface PlannedWindow {
  path: string
  /** Tells windows of one pipeline apart, and those of another definition. */
  id: string
  from: number
  by: number
  to: number
  /** Numbers of one value. */
  width: number
  length: number
  fill: number | 'first'
  ttlSeconds: number
}

export interface PlannedEmbedding {
  path: string
  from: number
  to: number
  model: string
  width: number
  /** Where the model is to make others than it does by itself. */
  dimensions?: number
}

/** A definition that holds together, as far as it can be told without its models. */
export interface Plan {
  name: string
  definition: PipelineDefinition
  inputs: readonly PlannedInput[]
  /** Asked, all of them together, between the steps `before` and those `after`. */
  lookUps: readonly PlannedLookUp[]
  windows: readonly PlannedWindow[]
  embeddings: readonly PlannedEmbedding[]
  before: readonly PlannedStep[]
  after: readonly PlannedStep[]
  values: ReadonlyMap<string, PlannedValue>
}

export interface PlanOptions {
  /** Of an embedding model's vectors, and its whole name. Throws where there is no such model. */
  embeddingOf(model: string | undefined): { model: string; dimensions?: number }
}

/** Throws 400 with the path of what does not hold together. */
export function createPlan(name: string, definition: PipelineDefinition, { embeddingOf }: PlanOptions): Plan {
  const values = new Map<string, PlannedValue>()
  let slots = 0
  const add = (name: string, value: Omit<PlannedValue, 'slot'>): number => {
    values.set(name, { ...value, slot: slots })
    return slots++
  }

  const inputs = Object.entries(definition.inputs).map(([name, settings]): PlannedInput => {
    const kind = kindOf(settings, `inputs.${name}`)
    const origin = originOf([name, settings])
    return { ...settings, name, path: settings.path ?? `data.${name}`, slot: add(name, { kind, origin }) }
  })
  const inputSlots = new Map(inputs.map((input) => [input.name, input]))

  /** An input that names an entity. */
  function entityOf(name: string, path: string): number {
    const input = inputSlots.get(name)
    if (!input) throw invalid(path, `there is no input \`${name}\``)
    if (input.type === 'vector') throw invalid(path, 'is a vector: an entity is a text or a number')
    return input.slot
  }

  const lookUps = Object.entries(definition.features).map(([name, settings]): PlannedLookUp => {
    const path = `features.${name}`
    const entity = entityOf(settings.entity, `${path}.entity`)
    const looked = Object.entries(settings.values).map(([feature, type]) => {
      const called = `${name}.${feature}`
      if (values.has(called)) throw invalid(`${path}.values.${feature}`, `\`${called}\` is an input already`)
      const kind = kindOf(type, `${path}.values.${feature}`)
      return { ...type, feature, slot: add(called, { kind }) }
    })
    if (looked.length === 0) throw invalid(`${path}.values`, 'is empty')
    return { name, view: settings.view, max_age_seconds: settings.max_age_seconds, entity, values: looked }
  })

  const windows: PlannedWindow[] = []
  const embeddings: PlannedEmbedding[] = []
  const [before, after]: [PlannedStep[], PlannedStep[]] = [[], []]
  for (const [n, step] of definition.preprocess.entries()) {
    const path = `preprocess[${n}]`
    const names = [step.from].flat()
    const sources = names.map((name, i) => {
      const value = values.get(name)
      if (value) return value
      const place = step.op === 'concat' ? `${path}.from[${i}]` : `${path}.from`
      throw invalid(place, `there is no \`${name}\` yet. There are: ${[...values.keys()].join(', ')}`)
    })
    const to = step.as ?? names[0]!
    if (step.op === 'window') windows.push(toWindow(step, sources[0]!, to, path))
    else if (step.op === 'embed') embeddings.push(toEmbedding(step, sources[0]!, to, path))
    else {
      const { kind, run } = toPrepared(
        step,
        sources.map((source) => source.kind),
        path,
      )
      const isEarly = sources.every(({ origin }) => origin !== undefined)
      const { as: _, from: __, ...work } = step
      const origin = isEarly ? originOf([work, ...sources.map((source) => source.origin)]) : undefined
      const tensor = step.op === 'concat' ? { type: step.type, shape: step.shape } : undefined
      const from = sources.map(({ slot }) => slot)
      const planned = { path, from, to: add(to, { kind, origin, tensor }), run }
      if (isEarly) before.push(planned)
      else after.push(planned)
    }
  }
  return { name, definition, inputs, lookUps, windows, embeddings, before, after, values }

  function toWindow(
    step: Extract<PreprocessStep, { op: 'window' }>,
    { slot, kind, origin }: PlannedValue,
    to: string,
    path: string,
  ): PlannedWindow {
    const width = widthOf(kind)
    if (width === undefined) throw invalid(`${path}.from`, 'is a text: a window holds numbers')
    // What it holds must be the same when the event comes again.
    if (origin === undefined)
      throw invalid(
        `${path}.from`,
        'comes from features, a window or an embedding: a window takes what comes from the inputs alone',
      )
    const total = width * step.length
    if (total > MOST_WINDOW)
      throw invalid(`${path}.length`, `makes ${total} numbers; at most are ${MOST_WINDOW}`)
    return {
      ...{ path, id: originOf([step.by, step.length, origin]), from: slot, width },
      by: entityOf(step.by, `${path}.by`),
      to: add(to, { kind: numbers(total) }),
      ...{ length: step.length, fill: step.fill, ttlSeconds: step.ttl_seconds },
    }
  }

  function toEmbedding(
    step: Extract<PreprocessStep, { op: 'embed' }>,
    { slot, kind, origin }: PlannedValue,
    to: string,
    path: string,
  ): PlannedEmbedding {
    if (kind.type !== 'text') throw invalid(`${path}.from`, 'is no text')
    if (origin === undefined) throw invalid(`${path}.from`, 'is a feature: texts come from the inputs')
    const known = embeddingOf(step.model)
    const width = step.dimensions ?? known.dimensions
    if (width === undefined)
      throw invalid(
        `${path}.dimensions`,
        `is missing: it is not known how long vectors of ${known.model} are`,
      )
    if (width > MOST_WIDTH) throw invalid(`${path}.dimensions`, `must be at most ${MOST_WIDTH}`)
    const dimensions = known.dimensions !== undefined && width !== known.dimensions ? width : undefined
    return { path, from: slot, to: add(to, { kind: numbers(width) }), model: known.model, width, dimensions }
  }
}

/** Of all values of a window. */
const MOST_WINDOW = 4_096

const originOf = (parts: unknown) => hash('sha256', JSON.stringify(parts)).slice(0, 16)
