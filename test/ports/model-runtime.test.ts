import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import * as ort from 'onnxruntime-web/wasm'
import { createRuntimeOnnx } from '../../shared/drivers/runtime-onnx.ts'
import { createRuntimeOnnxHere } from '../../shared/drivers/runtime-onnx-here.ts'
import { createRuntimeOnnxWeb } from '../../shared/drivers/runtime-onnx-web.ts'
import type { ModelRuntime } from '../../shared/ports/model-runtime.ts'
import { TENSOR_TYPES, testModelRuntime } from './model-runtime.contract.ts'

const start = (runtime: ModelRuntime) => async () => ({ runtime, close: runtime.close })
const traits = { types: TENSOR_TYPES, odd: 'run' } as const

testModelRuntime('runtime-onnx', start(createRuntimeOnnx()), { ...traits, leaves: true })
testModelRuntime('runtime-onnx-here', start(createRuntimeOnnxHere()), {
  ...traits,
  leaves: false,
})

const wasm = createRequire(import.meta.url).resolve('onnxruntime-web/ort-wasm-simd-threaded.wasm')
const web = createRuntimeOnnxWeb({
  open: async () => ({ ort, module: await WebAssembly.compile(await readFile(wasm)) }),
})
testModelRuntime('runtime-onnx-web', start(web), { ...traits, leaves: false })
