/** The Cloudflare Workers rim that runs models too: ONNX Runtime as WebAssembly is part of its bundle. */

import module from 'onnxruntime-web/ort-wasm-simd-threaded.wasm'
import * as ort from 'onnxruntime-web/wasm'
import { createRuntimeOnnxWeb } from '../shared/drivers/runtime-onnx-web.ts'
import { createWorker } from './rim-worker.ts'

export default createWorker({
  modelRuntime: createRuntimeOnnxWeb({ open: async () => ({ ort, module }) }),
})
