import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Tensor } from '../ports/model-runtime.ts'
import type { OnnxRun } from './onnx-engine.ts'
import type { NodeEngineOptions } from './onnx-engine-node.ts'
import type { ProcessAnswer, ProcessCall } from './onnx-process-child.ts'
import { LOAD_MS, OnnxError, type OnnxHost } from './onnx-runtime.ts'
import { timedOut, unavailable } from './runtime-dag.ts'

export interface OnnxProcessOptions extends NodeEngineOptions {
  /** A run that takes longer is ended, with the process. */
  longestMs: number
}

interface Job {
  call: ProcessCall
  resolve(tensors: Tensor[] | undefined): void
  reject(error: unknown): void
}

/** Models have numbers from 1. */
const NOBODY = 0

/** Calls in the process at once: enough that it never waits for the next, few enough that those who leave are not run. */
const MOST_POSTED = 64

/**
 * A process with ONNX sessions, started at the first use. onnxruntime-node makes and runs them on the thread that asks, cannot be
 * interrupted, and ends the process of a thread that is terminated meanwhile: only a process can be ended when a model does not. One
 * that ended, whoever ended it, is started anew, and models are brought to it when they are used.
 */
export function createOnnxProcess({ longestMs, intraOpThreads }: OnnxProcessOptions): OnnxHost {
  const models = new Map<number, Uint8Array>()
  const queue: Job[] = []
  /** In their order: the process works on the first. */
  let posted: Job[] = []
  /** Models in the process that runs now. */
  let present = new Set<number>()
  let child: ChildProcess | undefined
  let deadline: ReturnType<typeof setTimeout> | undefined
  let isLate = false
  let closed = false

  function start(): ChildProcess {
    const started = fork(new URL('./onnx-process-child.ts', import.meta.url), [String(intraOpThreads)], {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    started.on('message', (answer: ProcessAnswer) => settle(answer))
    // `exit` tells; where nothing could be started there is none.
    started.on('error', (cause) => {
      if (started.pid === undefined) onExit(unavailable('No process can be started for ONNX Runtime.', cause))
    })
    started.on('exit', (_, signal) => onExit(toCause(signal)))
    return started
  }

  /** Several at a time: a message costs as much as a small model. */
  function post() {
    if (posted.length > MOST_POSTED / 2 || queue.length === 0) return
    child ??= start()
    const jobs = queue.splice(0, MOST_POSTED - posted.length).flatMap((job) => [...toReload(job.call), job])
    const wasIdle = posted.length === 0
    posted.push(...jobs)
    child.send(jobs.map(({ call }) => call))
    if (!wasIdle) return
    keepAwake(child)
    watch()
  }

  /** What the call needs and the process, which may be another one by now, has not. */
  function toReload(call: ProcessCall): Job[] {
    if ('load' in call) present.add(call.load)
    if ('drop' in call) present.delete(call.drop)
    const needed = 'run' in call ? call.run.nodes.map(({ model }) => model) : []
    return [...new Set(needed)].flatMap((model) => {
      const bytes = models.get(model)
      if (present.has(model) || !bytes) return []
      present.add(model)
      return [{ call: { load: model, bytes }, resolve() {}, reject() {} }]
    })
  }

  function settle(answer: ProcessAnswer) {
    const job = posted.shift()!
    if ('tensors' in answer) job.resolve(answer.tensors)
    else job.reject(answer.isOrt ? new OnnxError(answer.error) : unavailable(answer.error))
    clearTimeout(deadline)
    post()
    if (posted.length > 0) watch()
    else letSleep(child!)
  }

  function watch() {
    clearTimeout(deadline)
    const longest = 'load' in posted[0]!.call ? Math.max(longestMs, LOAD_MS) : longestMs
    deadline = setTimeout(() => {
      isLate = true
      child?.kill('SIGKILL')
    }, longest)
  }

  function keepAwake(child: ChildProcess) {
    child.ref()
    child.channel?.ref()
  }

  /** An idle one keeps no process alive. */
  function letSleep(child: ChildProcess) {
    child.unref()
    child.channel?.unref()
  }

  function onExit(error: unknown) {
    clearTimeout(deadline)
    const [first, ...others] = posted
    ;[posted, present, child, isLate] = [[], new Set(), undefined, false]
    first?.reject(error)
    queue.unshift(...others)
    post()
  }

  const toCause = (signal: NodeJS.Signals | null) =>
    isLate ? timedOut(longestMs) : new OnnxError(`it ended its process (${signal ?? 'exit'})`)

  function ask(call: ProcessCall, signal?: AbortSignal): Promise<Tensor[] | undefined> {
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
      await ask({ load: model, bytes }, signal).catch((error) => {
        models.delete(model)
        throw error
      })
    },
    run: async (run: OnnxRun, signal) => (await ask({ run }, signal))!,
    async drop(model) {
      models.delete(model)
      if (!closed) await ask({ drop: model })
    },
    async close() {
      for (const job of queue.splice(0)) job.reject(unavailable('ONNX Runtime was closed.'))
      const idle = child && ask({ drop: NOBODY })
      closed = true
      await idle?.catch(() => {})
      if (!child) return
      keepAwake(child)
      child.disconnect()
      await once(child, 'exit')
    },
  }
}
