import type { LoadedModel, ModelRuntime, Tensor } from '../ports/model-runtime.ts'
import type { OnnxRun } from './onnx-engine.ts'
import { readOnnxModel } from './onnx-model.ts'
import {
  checkDag,
  failed,
  invalidModel,
  loadedLate,
  timedOut,
  unavailable,
  unsupportedFormat,
} from './runtime-dag.ts'

/** Where sessions live: in this thread, or in another process. */
export interface OnnxHost {
  /** Errors: `OnnxError` for bytes that make no session. */
  load(model: number, bytes: Uint8Array, signal: AbortSignal): Promise<void>
  /** Stops waiting when the signal fires. Errors: `OnnxError` when a model fails. */
  run(run: OnnxRun, signal: AbortSignal): Promise<Tensor[]>
  /** After what was asked of it before. */
  drop(model: number): Promise<void>
  close(): Promise<void>
}

/** What ONNX Runtime itself said. Anything else that goes wrong is not the model's fault. */
export class OnnxError extends Error {
  override name = 'OnnxError'
}

const RUN_MS = 30_000
/** Making a session of 500 MB takes seconds. */
export const LOAD_MS = 120_000

/** The model runtime port over ONNX Runtime, wherever that is. */
export function createOnnxRuntime(name: string, host: OnnxHost): ModelRuntime {
  const numbers = new WeakMap<LoadedModel, number>()
  let last = 0

  return {
    name,
    formats: ['onnx'],

    async load({ format, bytes }, { signal } = {}) {
      if (format !== 'onnx') {
        throw unsupportedFormat(`ONNX Runtime runs ONNX models, and this one is ${format}: convert it.`)
      }
      const { inputs, outputs } = readOnnxModel(bytes)
      const number = ++last
      try {
        await within(LOAD_MS, loadedLate, signal, (signal) => host.load(number, bytes, signal))
      } catch (error) {
        // It may still come to be, after nobody waits for it.
        if (!(error instanceof OnnxError)) void host.drop(number).catch(() => {})
        throw error instanceof OnnxError
          ? invalidModel(`ONNX Runtime refused the model: ${error.message}`, error)
          : error
      }
      let closing: Promise<void> | undefined
      const model: LoadedModel = {
        inputs,
        outputs,
        memoryBytes: memoryOf(bytes.length),
        close() {
          numbers.delete(model)
          closing ??= host.drop(number)
          return closing
        },
      }
      numbers.set(model, number)
      return model
    },

    async execute(dag, inputs, { signal, timeoutMs = RUN_MS } = {}) {
      checkDag(dag, inputs)
      const run: OnnxRun = {
        nodes: dag.nodes.map(({ model, ...node }) => {
          const number = numbers.get(model)
          if (number === undefined) throw unavailable('A model was just unloaded. Try again.')
          return {
            model: number,
            inputs: model.inputs.map(({ name }, i) => [name, node.inputs[i]!]),
            outputs: model.outputs.map(({ name }, i) => [name, node.outputs[i]!]),
          }
        }),
        inputs: [...inputs],
        outputs: dag.outputs,
      }
      try {
        const tensors = await within(timeoutMs, timedOut, signal, (signal) => host.run(run, signal))
        return new Map(tensors.map((tensor, i) => [dag.outputs[i]!, tensor]))
      } catch (error) {
        throw error instanceof OnnxError ? failed(`The model failed: ${error.message}`, error) : error
      }
    },

    close: () => host.close(),
  }
}

/** One signal of both ends: the caller's own, and the deadline. */
async function within<T>(
  timeoutMs: number,
  late: (timeoutMs: number) => Error,
  caller: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  caller?.throwIfAborted()
  const end = new AbortController()
  const timer = setTimeout(() => end.abort(late(timeoutMs)), timeoutMs)
  const leave = () => end.abort(caller!.reason)
  caller?.addEventListener('abort', leave, { once: true })
  try {
    return await work(end.signal)
  } finally {
    clearTimeout(timer)
    caller?.removeEventListener('abort', leave)
  }
}

/** The file, kept to make the session anew; the session's copy of the weights; what a run takes. */
const memoryOf = (bytes: number) => 2 * bytes + 2 ** 20
