import type { ModelRuntime } from '../ports/model-runtime.ts'
import { openNodeEngine } from './onnx-engine-node.ts'
import { createOnnxHere } from './onnx-here.ts'
import { createOnnxRuntime } from './onnx-runtime.ts'
import { createOnnxThread } from './onnx-thread.ts'

export interface RuntimeOnnxOptions {
  /** Threads that one run may use; more are quicker for large models only. Default 1. */
  intraOpThreads?: number
  /** A thread that is busy with one call for longer than this is left to itself. Default a minute. */
  longestMs?: number
  /**
   * Whether models have a thread of their own, so that the server goes on answering while one runs. Without it, as in a bundle,
   * which has no file to start a thread from, nothing else happens meanwhile. Default true.
   */
  thread?: boolean
}

/**
 * ONNX Runtime in this process, by onnxruntime-node. One run after the other. A run that its caller no longer waits for goes on:
 * onnxruntime-node cannot interrupt it.
 *
 * @example const runtime = createRuntimeOnnx()
 */
export function createRuntimeOnnx(options: RuntimeOnnxOptions = {}): ModelRuntime {
  const { intraOpThreads = 1, longestMs = 60_000, thread = true } = options
  return createOnnxRuntime(
    'onnx',
    thread
      ? createOnnxThread({ intraOpThreads, longestMs })
      : createOnnxHere(() => openNodeEngine({ intraOpThreads })),
  )
}
