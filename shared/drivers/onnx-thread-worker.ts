/** The thread of `onnx-thread.ts`: one call after the other, answered in their order. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Tensor } from '../ports/model-runtime.ts'
import type { OnnxEngine, OnnxRun } from './onnx-engine.ts'
import { openNodeEngine } from './onnx-engine-node.ts'

export type ThreadCall = { load: number; bytes: Uint8Array } | { drop: number } | { run: OnnxRun }

/** `isOrt`: what ONNX Runtime said, rather than what became of us. */
export type ThreadAnswer = { tensors: Tensor[] | undefined } | { error: string; isOrt: boolean }

/** Answers wait so long for others, at most: a message costs more than a small model. */
const GATHER_MS = 0.5

const port = parentPort!
const waiting: ThreadCall[] = []
let engine: Promise<OnnxEngine> | undefined
let isWorking = false

port.on('message', (calls: ThreadCall[]) => {
  waiting.push(...calls)
  if (!isWorking) void work()
})

async function work() {
  isWorking = true
  let answers: ThreadAnswer[] = []
  let since = performance.now()
  while (waiting.length > 0) {
    answers.push(await answer(waiting.shift()!))
    if (performance.now() - since < GATHER_MS && waiting.length > 0) continue
    port.postMessage(answers)
    answers = []
    since = performance.now()
  }
  isWorking = false
}

async function answer(call: ThreadCall): Promise<ThreadAnswer> {
  let isOrt = false
  try {
    engine ??= openNodeEngine(workerData)
    const sessions = await engine
    isOrt = true
    if ('run' in call) return { tensors: await sessions.run(call.run) }
    if ('load' in call) await sessions.load(call.load, call.bytes)
    else await sessions.drop(call.drop)
    return { tensors: undefined }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error), isOrt }
  }
}
