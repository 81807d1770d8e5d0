import type { ModelRuntime } from '../ports/model-runtime.ts'
import { createOnnxEngine, type OnnxEngine, type Ort } from './onnx-engine.ts'
import { createOnnxHere } from './onnx-here.ts'
import { createOnnxRuntime } from './onnx-runtime.ts'

export interface RuntimeOnnxWebOptions {
  /** onnxruntime-web, and its WebAssembly as a compiled module: whoever deploys it decides whether it is in the bundle. */
  open(): Promise<{ ort: OrtWeb; module: WebAssembly.Module }>
}

type OrtWeb = Ort & { env: { wasm: { numThreads?: number; proxy?: boolean; wasmBinary?: unknown } } }

/**
 * ONNX Runtime as WebAssembly in this thread, for runtimes that have neither threads nor binaries, such as Cloudflare Workers. A
 * run cannot be interrupted, and nothing else happens meanwhile.
 *
 * @example
 * const runtime = createRuntimeOnnxWeb({
 *   open: async () => ({
 *     ort: await import('onnxruntime-web/wasm'),
 *     module: (await import('onnxruntime-web/ort-wasm-simd-threaded.wasm')).default,
 *   }),
 * })
 */
export const createRuntimeOnnxWeb = ({ open }: RuntimeOnnxWebOptions): ModelRuntime =>
  createOnnxRuntime(
    'onnx-web',
    createOnnxHere(async () => toEngine(await open())),
  )

function toEngine({ ort, module }: Awaited<ReturnType<RuntimeOnnxWebOptions['open']>>): OnnxEngine {
  Object.assign(ort.env.wasm, { numThreads: 1, proxy: false, wasmBinary: PLACEHOLDER.buffer })
  // It starts with its first session.
  let isStarted = false
  const create: Ort['InferenceSession']['create'] = (bytes, options) => {
    const make = () => ort.InferenceSession.create(bytes, options)
    if (isStarted) return make()
    isStarted = true
    return withModule(module, make)
  }
  return createOnnxEngine({ Tensor: ort.Tensor, InferenceSession: { create } })
}

/** No WebAssembly of this length can be. */
const PLACEHOLDER = new Uint8Array(7)

/** ONNX Runtime would compile bytes, which Workers forbid: when it asks for those of the placeholder, it gets the compiled module. */
async function withModule<T>(module: WebAssembly.Module, work: () => Promise<T>): Promise<T> {
  const real = WebAssembly.instantiate
  const given = async (source: BufferSource | WebAssembly.Module, imports?: WebAssembly.Imports) => {
    const isOurs = 'byteLength' in source && source.byteLength === PLACEHOLDER.length
    if (!isOurs) return real(source as BufferSource, imports)
    return { module, instance: new WebAssembly.Instance(module, imports) }
  }
  WebAssembly.instantiate = given as typeof real
  try {
    return await work()
  } finally {
    WebAssembly.instantiate = real
  }
}
