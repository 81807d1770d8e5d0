import type { ModelRuntime } from '../ports/model-runtime.ts'
import { createOnnxProcess } from './onnx-process.ts'
import { createOnnxRuntime } from './onnx-runtime.ts'

export interface RuntimeOnnxOptions {
  /** Threads that one run may use; more are quicker for large models only. Default 1. */
  intraOpThreads?: number
  /** A run that takes longer is ended. Default 30 seconds. */
  longestMs?: number
}

/**
 * ONNX Runtime in a process beside this one, by onnxruntime-node: the server goes on answering while a model runs, and outlives one
 * that crashes or never ends. One run after the other; one that its caller no longer waits for goes on up to `longestMs`.
 *
 * @example const runtime = createRuntimeOnnx()
 */
export const createRuntimeOnnx = ({
  intraOpThreads = 1,
  longestMs = 30_000,
}: RuntimeOnnxOptions = {}): ModelRuntime =>
  createOnnxRuntime('onnx', createOnnxProcess({ intraOpThreads, longestMs }))
