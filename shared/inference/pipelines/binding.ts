import type { Dag, LoadedModel, ModelRuntime, TensorSpec, TensorType } from '../../ports/model-runtime.ts'
import { fits } from '../../tensors.ts'
import type { ModelLease } from '../loaded-models.ts'
import type { Plan, PlannedValue } from './plan.ts'
import { invalid, widthOf } from './value.ts'

export type BoundModel = Pick<ModelLease, 'model' | 'runtime' | 'maxBatch'>

/** A value as a tensor that models take. */
export interface BoundTensor {
  name: string
  slot: number
  type: TensorType
  /** Of a row. */
  shape: readonly number[]
  width: number
  /** Rows lie one below the other in it; else it holds one row and does not say so. */
  isBatched: boolean
}

/** Models of one runtime that follow each other: one call. */
interface Stage {
  runtime: ModelRuntime
  dag: Dag
  /** Names of the tensors that go in. */
  inputs: readonly string[]
}

/** A plan with the models that it runs now. */
export interface Binding {
  models: readonly LoadedModel[]
  tensors: readonly BoundTensor[]
  stages: readonly Stage[]
  /** Names of what models make for `postprocess` and the results. */
  outputs: readonly string[]
  results: readonly string[]
  /** Rows that one call takes. */
  batch: number
}

/** Throws 400 with the path where models and definition do not fit together. */
export function bindPlan({ definition, values }: Plan, leases: readonly BoundModel[]): Binding {
  const tensors = new Map<string, BoundTensor>()
  const made = new Map<string, TensorSpec>()
  const nodes = definition.models.map((settings, n) => {
    const { model } = leases[n]!
    const path = `models[${n}]`
    mustHave(model.inputs, Object.keys(settings.inputs), `${path}.inputs`, 'input')
    mustHave(model.outputs, Object.keys(settings.outputs), `${path}.outputs`, 'output')
    const inputs = model.inputs.map((spec) => {
      const name = ownOf(settings.inputs, spec.name)
      const at = `${path}.inputs.${spec.name}`
      const earlier = made.get(name)
      const value = values.get(name)
      if (earlier) mustFit(earlier, spec, at)
      else if (value) tensors.set(name, toTensor(name, value, spec, tensors.get(name), at))
      else throw invalid(at, `there is no \`${name}\`, neither a value nor an output of an earlier model`)
      return name
    })
    const outputs = model.outputs.map((spec) => {
      const name = ownOf(settings.outputs, spec.name)
      if (made.has(name) || values.has(name))
        throw invalid(
          `${path}.outputs.${spec.name}`,
          `something else is called \`${name}\`: give it another name`,
        )
      made.set(name, spec)
      return name
    })
    return { model, inputs, outputs }
  })

  const { wanted, results } = resultsOf(definition, values, made)
  const outputs = [...made.keys()].filter((name) => wanted.has(name))
  for (const name of outputs) {
    if (made.get(name)!.type !== 'FP16') continue
    const message = `\`${name}\` is of half precision, which nothing here reads: let the model cast it to FP32`
    throw invalid(`models[${nodes.findIndex((node) => node.outputs.includes(name))}].outputs`, message)
  }
  const isBatched = [...tensors.values()].every((tensor) => tensor.isBatched)
  return {
    models: leases.map(({ model }) => model),
    tensors: [...tensors.values()],
    stages: toStages(nodes, leases, new Set(outputs)),
    ...{ outputs, results },
    batch: isBatched ? Math.min(...leases.map(({ maxBatch }) => maxBatch)) : 1,
  }
}

/** What is shown, and all that is needed for it. */
function resultsOf(
  { postprocess, results, alerts }: Plan['definition'],
  values: Plan['values'],
  made: ReadonlyMap<string, TensorSpec>,
) {
  const known = new Set([...values.keys(), ...made.keys()])
  const wanted = new Set<string>()
  const shaped = new Set<string>()
  for (const [n, { from, as = from }] of postprocess.entries()) {
    mustKnow(known, from, `postprocess[${n}].from`)
    wanted.add(from)
    known.add(as)
    shaped.add(as)
  }
  const shown = results ?? (shaped.size > 0 ? [...shaped] : [...made.keys()])
  for (const [n, name] of shown.entries()) {
    mustKnow(known, name, `results[${n}]`)
    wanted.add(name)
  }
  const field = alerts.findIndex(({ when }) => !shown.includes(when.field))
  if (field >= 0) throw invalid(`alerts[${field}].when.field`, `is no result. There are: ${shown.join(', ')}`)
  return { wanted, results: shown }
}

function toTensor(
  name: string,
  { slot, kind, tensor }: PlannedValue,
  spec: TensorSpec,
  before: BoundTensor | undefined,
  path: string,
): BoundTensor {
  const width = widthOf(kind)
  if (width === undefined) throw invalid(path, `\`${name}\` is a text: encode it first`)
  const type = tensor?.type ?? 'FP32'
  if (type !== spec.type) throw invalid(path, `wants ${spec.type}, and \`${name}\` is ${type}`)
  // A number of each row, one after the other.
  const isFlat = width === 1 && !tensor?.shape && spec.shape.length === 1 && spec.shape[0] === -1
  const shape = tensor?.shape ?? (isFlat ? [] : [width])
  const isBatched = spec.anyShape === true || spec.shape.length === shape.length + 1
  if (!fits(isBatched ? [-1, ...shape] : shape, spec))
    throw invalid(path, `wants rows of [${spec.shape.slice(1)}], and those of \`${name}\` are [${shape}]`)
  if (before && (String(before.shape) !== String(shape) || before.isBatched !== isBatched))
    throw invalid(path, `another model takes \`${name}\` in another shape: make two tensors of it`)
  return { name, slot, type, shape, width, isBatched }
}

function toStages(
  nodes: readonly Dag['nodes'][number][],
  leases: readonly BoundModel[],
  wanted: ReadonlySet<string>,
): Stage[] {
  const groups: { runtime: ModelRuntime; nodes: Dag['nodes'][number][] }[] = []
  for (const [n, node] of nodes.entries()) {
    const { runtime } = leases[n]!
    const last = groups.at(-1)
    if (last?.runtime === runtime) last.nodes.push(node)
    else groups.push({ runtime, nodes: [node] })
  }
  return groups.map(({ runtime, nodes }, n) => {
    const made = nodes.flatMap((node) => node.outputs)
    const later = groups.slice(n + 1).flatMap((group) => group.nodes.flatMap((node) => node.inputs))
    const outputs = made.filter((name) => wanted.has(name) || later.includes(name))
    const taken = new Set(nodes.flatMap((node) => node.inputs))
    return { runtime, dag: { nodes, outputs }, inputs: [...taken].filter((name) => !made.includes(name)) }
  })
}

const ownOf = (names: Readonly<Record<string, string>>, name: string) =>
  Object.hasOwn(names, name) ? names[name]! : name

function mustHave(specs: readonly TensorSpec[], names: readonly string[], path: string, what: string) {
  const unknown = names.find((name) => !specs.some((spec) => spec.name === name))
  if (unknown === undefined) return
  const have = specs.map(({ name }) => name).join(', ')
  throw invalid(`${path}.${unknown}`, `the model has no such ${what}. It has: ${have}`)
}

function mustFit(made: TensorSpec, wanted: TensorSpec, path: string) {
  if (made.type === wanted.type && (made.anyShape || fits(made.shape, wanted))) return
  const [from, to] = [made, wanted].map(({ type, shape }) => `${type} [${shape}]`)
  throw invalid(path, `wants ${to}, and is given ${from}`)
}

function mustKnow(known: ReadonlySet<string>, name: string, path: string) {
  if (!known.has(name)) throw invalid(path, `there is no \`${name}\`. There are: ${[...known].join(', ')}`)
}
