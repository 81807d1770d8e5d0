import { createOnnxEngine, type OnnxEngine } from './onnx-engine.ts'

export interface NodeEngineOptions {
  /** Threads that one run may use. */
  intraOpThreads: number
}

/** onnxruntime-node in this thread. */
export async function openNodeEngine({ intraOpThreads }: NodeEngineOptions): Promise<OnnxEngine> {
  const ort = await import('onnxruntime-node').catch((cause) => {
    throw new Error(`onnxruntime-node is not here, or not for this machine: ${cause}`, { cause })
  })
  return createOnnxEngine(ort, { intraOpNumThreads: intraOpThreads, interOpNumThreads: 1 })
}
