import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import type { Tensor, TensorData, TensorType } from '../ports/model-runtime.ts'

/** What is the same in onnxruntime-node and onnxruntime-web. */
export interface Ort {
  InferenceSession: {
    create(bytes: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>
  }
  Tensor: new (type: OrtTensor.Type, data: OrtTensor.DataType, dims: readonly number[]) => OrtTensor
}

/** A DAG that was checked, in a form that can be sent to a process. */
export interface OnnxRun {
  nodes: readonly {
    model: number
    /** [name in the model, name in the DAG] */
    inputs: readonly (readonly [string, string])[]
    outputs: readonly (readonly [string, string])[]
  }[]
  inputs: readonly (readonly [string, Tensor])[]
  /** Names in the DAG. */
  outputs: readonly string[]
}

const ORT_TYPES = {
  ...{ BOOL: 'bool', UINT8: 'uint8', UINT16: 'uint16', UINT32: 'uint32', UINT64: 'uint64', INT8: 'int8' },
  ...{ INT16: 'int16', INT32: 'int32', INT64: 'int64', FP16: 'float16', FP32: 'float32', FP64: 'float64' },
} as const satisfies Record<TensorType, OrtTensor.Type>

/** What goes wrong is thrown; nothing is to be logged besides. */
const QUIET = { logSeverityLevel: 4 } as const

const TYPES = new Map<string, TensorType>(
  Object.entries(ORT_TYPES).map(([type, name]) => [name, type as TensorType]),
)

export interface OnnxEngine {
  load(model: number, bytes: Uint8Array): Promise<void>
  /** Answers `run.outputs` in their order. */
  run(run: OnnxRun): Promise<Tensor[]>
  drop(model: number): Promise<void>
}

/** ONNX sessions of this thread, by number. While one is made or run the thread does nothing else. */
export function createOnnxEngine(ort: Ort, options: InferenceSession.SessionOptions = {}): OnnxEngine {
  const sessions = new Map<number, InferenceSession>()
  return {
    async load(model, bytes) {
      sessions.set(model, await ort.InferenceSession.create(bytes, { ...options, ...QUIET }))
    },

    async run(run) {
      const made = new Map<string, OrtTensor>()
      for (const [name, { type, shape, data }] of run.inputs)
        made.set(name, asBits(new ort.Tensor(ORT_TYPES[type], data as OrtTensor.DataType, shape)))
      for (const node of run.nodes) {
        const feeds = Object.fromEntries(node.inputs.map(([own, name]) => [own, made.get(name)!]))
        const session = sessions.get(node.model)
        if (!session) throw new Error('its session could not be made again')
        const results = await session.run(feeds, QUIET)
        for (const [own, name] of node.outputs) made.set(name, asBits(results[own] as OrtTensor))
      }
      return run.outputs.map((name) => toTensor(made.get(name)!))
    },

    async drop(model) {
      const session = sessions.get(model)
      sessions.delete(model)
      await session?.release()
    },
  }
}

const toTensor = ({ type, dims, data }: OrtTensor): Tensor => ({
  type: TYPES.get(type)!,
  shape: dims,
  data: data as TensorData,
})

/**
 * Where there is a Float16Array, ONNX Runtime's tensors hold their halves in one: onnxruntime-node 1.30 finds none in it, and our
 * port wants the bits.
 */
function asBits(tensor: OrtTensor): OrtTensor {
  if (tensor.type !== 'float16' || tensor.data instanceof Uint16Array) return tensor
  const { buffer, byteOffset, length } = tensor.data as unknown as Uint16Array
  return Object.defineProperty(tensor, 'data', { value: new Uint16Array(buffer, byteOffset, length) })
}
