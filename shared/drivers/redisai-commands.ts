import type { Dag, LoadedModel, ModelFile, ModelFormat, Tensor, TensorType } from '../ports/model-runtime.ts'
import type { Argument, Command } from '../ports/redis.ts'
import { toTensorBytes } from '../tensors.ts'

export const BACKENDS: Readonly<Record<ModelFormat, string>> = {
  onnx: 'ONNX',
  tensorflow: 'TF',
  torch: 'TORCH',
  tflite: 'TFLITE',
}

/** It has none for FP16, UINT32 and UINT64. */
export const DTYPES: Readonly<Partial<Record<TensorType, string>>> = {
  ...{ BOOL: 'BOOL', UINT8: 'UINT8', UINT16: 'UINT16', INT8: 'INT8', INT16: 'INT16' },
  ...{ INT32: 'INT32', INT64: 'INT64', FP32: 'FLOAT', FP64: 'DOUBLE' },
}

/** The server joins a model's pieces; Redis takes none of more than 512 MB. */
const PIECE = 32 * 2 ** 20

export function toStore(key: string, { format, bytes, ...file }: ModelFile, device: string): Command {
  // Only TensorFlow does not know what goes in and comes out; others refuse to be told.
  const names =
    format === 'tensorflow' ? [...named('INPUTS', file.inputs), ...named('OUTPUTS', file.outputs)] : []
  const pieces: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += PIECE) pieces.push(bytes.subarray(at, at + PIECE))
  return ['AI.MODELSTORE', key, BACKENDS[format], device, ...names, 'BLOB', ...pieces]
}

/**
 * The steps of a DAG: what goes in is set, models are run, what is wanted is read; `reads` are the places of these last. Tensors have
 * names of ours in it, and none is a key: an output onto a key of another kind would be answered twice.
 */
export function toSteps(
  { nodes }: Dag,
  wanted: readonly string[],
  inputs: ReadonlyMap<string, Tensor>,
  keyOf: (model: LoadedModel) => string,
): { steps: Argument[][]; reads: number[] } {
  const names = new Map<string, string>()
  const nameOf = (tensor: string) => {
    const name = names.get(tensor) ?? `t${names.size}`
    names.set(tensor, name)
    return name
  }
  const steps: Argument[][] = []
  const used = new Set(nodes.flatMap((node) => node.inputs))
  for (const [name, tensor] of inputs) {
    if (!used.has(name)) continue
    const { type, shape } = tensor
    steps.push(['AI.TENSORSET', nameOf(name), DTYPES[type]!, ...shape, 'BLOB', toTensorBytes(tensor)])
  }
  for (const { model, ...node } of nodes) {
    const into = [node.inputs.length, ...node.inputs.map(nameOf)]
    const out = [node.outputs.length, ...node.outputs.map(nameOf)]
    steps.push(['AI.MODELEXECUTE', keyOf(model), 'INPUTS', ...into, 'OUTPUTS', ...out])
  }
  const reads = wanted.map((name) => steps.push(['AI.TENSORGET', nameOf(name), 'META', 'BLOB']) - 1)
  return { steps, reads }
}

/** The server's own limit counts while the call waits for its turn, not while it runs. */
export const toDag = (routing: string, timeoutMs: number, steps: readonly Argument[][]): Command => [
  ...(['AI.DAGEXECUTE', 'ROUTING', routing, 'TIMEOUT', Math.max(1, Math.ceil(timeoutMs))] as const),
  ...steps.flatMap((step) => ['|>', ...step]),
]

const named = (word: string, specs: ModelFile['inputs'] = []) => [
  word,
  specs.length,
  ...specs.map(({ name }) => name),
]
