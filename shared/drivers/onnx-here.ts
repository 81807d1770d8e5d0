import type { OnnxEngine } from './onnx-engine.ts'
import { OnnxError, type OnnxHost } from './onnx-runtime.ts'
import { unavailable } from './runtime-dag.ts'

/** Sessions in the thread that asks, for runtimes without others; it does nothing else while a model runs. `open` at the first use. */
export function createOnnxHere(open: () => Promise<OnnxEngine>): OnnxHost {
  let engine: Promise<OnnxEngine> | undefined
  let turn: Promise<unknown> = Promise.resolve()

  /** One call after the other: in WebAssembly all calls share a stack. */
  function ask<T>(work: (engine: OnnxEngine) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const answer = turn.then(async () => {
      signal?.throwIfAborted()
      engine ??= open()
      const ready = await engine.catch((cause) => {
        engine = undefined
        throw unavailable('ONNX Runtime is not in this package, or not for this machine.', cause)
      })
      return work(ready).catch((error) => {
        throw new OnnxError(error instanceof Error ? error.message : String(error))
      })
    })
    turn = answer.catch(() => {})
    return answer
  }

  return {
    load: (model, bytes, signal) => ask((engine) => engine.load(model, bytes), signal),
    run: (run, signal) => ask((engine) => engine.run(run), signal),
    drop: (model) => ask((engine) => engine.drop(model)),
    close: async () => {},
  }
}
