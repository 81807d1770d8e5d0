import type { ModelRuntime } from '../ports/model-runtime.ts'
import { openNodeEngine } from './onnx-engine-node.ts'
import { createOnnxHere } from './onnx-here.ts'
import { createOnnxProcess } from './onnx-process.ts'
import { createOnnxRuntime } from './onnx-runtime.ts'

export interface RuntimeOnnxOptions {
  /** Threads that one run may use; more are quicker for large models only. Default 1. */
  intraOpThreads?: number
  /** A run that takes longer is ended. Default 30 seconds. */
  longestMs?: number
  /**
   * Whether models run in a process of their own: the server goes on answering meanwhile, and outlives a model that crashes or never
   * ends. Without it, as in a bundle, which has no file to start a process from, nothing else happens while one runs. Default true.
   */
  apart?: boolean
}

/**
 * ONNX Runtime on this machine, by onnxruntime-node. One run after the other; one that its caller no longer waits for goes on up to
 * `longestMs`.
 *
 * @example const runtime = createRuntimeOnnx()
 */
export function createRuntimeOnnx(options: RuntimeOnnxOptions = {}): ModelRuntime {
  const { intraOpThreads = 1, longestMs = 30_000, apart = true } = options
  return createOnnxRuntime(
    'onnx',
    apart
      ? createOnnxProcess({ intraOpThreads, longestMs })
      : createOnnxHere(() => openNodeEngine({ intraOpThreads })),
  )
}
