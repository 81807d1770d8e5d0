/** The process of `onnx-process.ts`: one call after the other, answered in their order. */
import type { Tensor } from '../ports/model-runtime.ts'
import type { OnnxEngine, OnnxRun } from './onnx-engine.ts'
import { openNodeEngine } from './onnx-engine-node.ts'

export type ProcessCall = { load: number; bytes: Uint8Array } | { drop: number } | { run: OnnxRun }

/** `isOrt`: what ONNX Runtime said, rather than what became of us. */
export type ProcessAnswer = { tensors: Tensor[] | undefined } | { error: string; isOrt: boolean }

let engine: Promise<OnnxEngine> | undefined
let turn = Promise.resolve()

process.on('message', (calls: ProcessCall[]) => {
  for (const call of calls) {
    turn = turn.then(async () => {
      const answer = await answerTo(call)
      process.send!(answer, undefined, undefined, () => {}) // who is gone needs no answer
    })
  }
})
process.on('disconnect', () => process.exit())
// Ctrl-C reaches us too; the server still needs us to finish.
process.on('SIGINT', () => {}).on('SIGTERM', () => {})

async function answerTo(call: ProcessCall): Promise<ProcessAnswer> {
  let isOrt = false
  try {
    engine ??= openNodeEngine({ intraOpThreads: Number(process.argv[2]) })
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
