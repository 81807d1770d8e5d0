import { Worker } from 'node:worker_threads'
import type { Tensor } from '../ports/model-runtime.ts'
import type { OnnxRun } from './onnx-engine.ts'
import type { NodeEngineOptions } from './onnx-engine-node.ts'
import { OnnxError, type OnnxHost } from './onnx-runtime.ts'
import type { ThreadAnswer, ThreadCall } from './onnx-thread-worker.ts'
import { timedOut, unavailable } from './runtime-dag.ts'

interface Job {
  call: ThreadCall
  resolve(tensors: Tensor[] | undefined): void
  reject(error: unknown): void
}

/** Calls in the thread at once: enough that it never waits for the next, few enough that those who leave are not run. */
const MOST_POSTED = 64

export interface OnnxThreadOptions extends NodeEngineOptions {
  /** A thread that does not answer for so long is left to itself, and another one is started. */
  longestMs: number
}

/**
 * A thread with ONNX sessions, started at the first use: onnxruntime-node makes and runs them on the thread that asks, and cannot
 * be interrupted.
 */
export function createOnnxThread({ longestMs, ...options }: OnnxThreadOptions): OnnxHost {
  const models = new Map<number, Uint8Array>()
  const queue: Job[] = []
  let posted: Job[] = []
  /** Models in the thread that runs now. */
  let present = new Set<number>()
  let thread: Worker | undefined
  let deadline: ReturnType<typeof setTimeout> | undefined
  let closed = false

  function start(): Worker {
    const started = new Worker(new URL('./onnx-thread-worker.ts', import.meta.url), { workerData: options })
    let cause: unknown
    started.on('message', (answers: ThreadAnswer[]) => thread === started && settle(answers))
    started.on('error', (error) => {
      cause = error
    })
    started.on('exit', () => thread === started && abandon(unavailable('Its thread ended.', cause)))
    return started
  }

  /** Several at a time: a message costs more than a small model. */
  function post() {
    if (posted.length > MOST_POSTED / 2 || queue.length === 0) return
    thread ??= start()
    const jobs = queue.splice(0, MOST_POSTED - posted.length).flatMap((job) => [...toReload(job.call), job])
    if (posted.length === 0) {
      thread.ref()
      watch()
    }
    posted.push(...jobs)
    thread.postMessage(jobs.map(({ call }) => call))
  }

  /** What the call needs and the thread, which may be another one by now, has not. */
  function toReload(call: ThreadCall): Job[] {
    const needed = 'run' in call ? call.run.nodes.map(({ model }) => model) : []
    if ('load' in call) present.add(call.load)
    if ('drop' in call) present.delete(call.drop)
    return [...new Set(needed)].flatMap((model) => {
      const bytes = models.get(model)
      if (present.has(model) || !bytes) return []
      present.add(model)
      return [{ call: { load: model, bytes }, resolve() {}, reject() {} }]
    })
  }

  function settle(answers: ThreadAnswer[]) {
    for (const [i, answer] of answers.entries()) {
      const job = posted[i]!
      if ('tensors' in answer) job.resolve(answer.tensors)
      else job.reject(answer.isOrt ? new OnnxError(answer.error) : unavailable(answer.error))
    }
    posted = posted.slice(answers.length)
    clearTimeout(deadline)
    post()
    if (posted.length === 0)
      thread?.unref() // an idle thread keeps no process alive
    else watch()
  }

  function watch() {
    clearTimeout(deadline)
    deadline = setTimeout(() => abandon(timedOut(longestMs)), longestMs)
    deadline.unref()
  }

  /** Ends what the thread has; the thread itself ends once its model lets go of it. */
  function abandon(error: unknown) {
    const [jobs, left] = [posted, thread]
    clearTimeout(deadline)
    posted = []
    present = new Set()
    thread = undefined
    left?.unref()
    void left?.terminate()
    for (const job of jobs) job.reject(error)
    post()
  }

  function ask(call: ThreadCall, signal?: AbortSignal): Promise<Tensor[] | undefined> {
    if (closed) return Promise.reject(unavailable('ONNX Runtime was closed.'))
    return new Promise((resolve, reject) => {
      const job: Job = { call, resolve, reject }
      const leave = () => {
        const at = queue.indexOf(job)
        if (at >= 0) queue.splice(at, 1)
        reject(signal!.reason)
      }
      signal?.addEventListener('abort', leave, { once: true })
      queue.push(job)
      post()
    })
  }

  return {
    async load(model, bytes, signal) {
      models.set(model, bytes)
      await ask({ load: model, bytes: own(bytes) }, signal).catch((error) => {
        models.delete(model)
        throw error
      })
    },
    async run(run, signal) {
      return (await ask({ run: { ...run, inputs: run.inputs.map(ownInput) } }, signal))!
    },
    async drop(model) {
      models.delete(model)
      if (!closed) await ask({ drop: model })
    },
    async close() {
      closed = true
      for (const job of queue.splice(0)) job.reject(unavailable('ONNX Runtime was closed.'))
      await thread?.terminate()
    },
  }
}

const ownInput = ([name, tensor]: OnnxRun['inputs'][number]) =>
  [name, { ...tensor, data: own(tensor.data) }] as const

/** A message carries the whole buffer behind a view: of a part of a request's body, all of it. */
const own = <T extends { byteLength: number; buffer: ArrayBufferLike; slice(): unknown }>(view: T): T =>
  view.byteLength === view.buffer.byteLength ? view : (view.slice() as T)
