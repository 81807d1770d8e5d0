import type { ModelRuntime } from '../ports/model-runtime.ts'
import { type NodeEngineOptions, openNodeEngine } from './onnx-engine-node.ts'
import { createOnnxHere } from './onnx-here.ts'
import { createOnnxRuntime } from './onnx-runtime.ts'

/**
 * ONNX Runtime in this thread, by onnxruntime-node: for a bundle, which has no file to start a process from, and an instance that
 * serves one request at a time, as on AWS Lambda. Nothing else happens while a model runs, and nothing can end it.
 *
 * @example const runtime = createRuntimeOnnxHere()
 */
export const createRuntimeOnnxHere = ({
  intraOpThreads = 1,
}: Partial<NodeEngineOptions> = {}): ModelRuntime =>
  createOnnxRuntime(
    'onnx',
    createOnnxHere(() => openNodeEngine({ intraOpThreads })),
  )
