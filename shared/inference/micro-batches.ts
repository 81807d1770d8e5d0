import { HubError } from '../errors.ts'
import type { LoadedModel, Tensor } from '../ports/model-runtime.ts'
import type { ModelLease } from './loaded-models.ts'
import { joinRows, rowShapeOf, rowsOf, splitRows } from './rows.ts'
import { type RunOptions, runModel } from './run-model.ts'

export type BatchTarget = Pick<ModelLease, 'model' | 'runtime' | 'maxBatch'>

export interface MicroBatchesOptions {
  /** The longest that a call waits for others while there is room to run; 0 joins nothing. */
  delayMs: number
  /** Of a run, and of the wait for it. */
  timeoutMs: number
}

/** Joined runs of one model at a time: the next is made ready while one runs. */
const MOST_RUNS = 2
const MOST_WAITING_ROWS = 16_384

interface Job {
  inputs: ReadonlyMap<string, Tensor>
  rows: number
  outputs: readonly string[] | undefined
  since: number
  /** It was answered, or its caller left. */
  isOver: boolean
  resolve(outputs: Map<string, Tensor>): void
  reject(error: unknown): void
}

/** Calls of one model whose rows look alike. */
interface Lane {
  waiting: Job[]
  rows: number
  runs: number
  forget(): void
  timer?: ReturnType<typeof setTimeout>
}

/**
 * Runs a model for several callers at once. A call that finds the model idle runs at once; what comes while it runs is joined, up to
 * `maxBatch` rows, and goes out when the run ends or after `delayMs`. Inputs are checked by the caller.
 */
export function createMicroBatches({ delayMs, timeoutMs }: MicroBatchesOptions) {
  const lanes = new WeakMap<LoadedModel, Map<string, Lane>>()
  /** What turned out to have other rows than it declares. */
  const unjoinable = new WeakSet<LoadedModel>()

  function run(
    target: BatchTarget,
    inputs: ReadonlyMap<string, Tensor>,
    { outputs, signal }: Pick<RunOptions, 'outputs' | 'signal'> = {},
  ): Promise<Map<string, Tensor>> {
    const { model, maxBatch } = target
    const rows = delayMs > 0 && maxBatch > 1 && !unjoinable.has(model) ? rowsOf(inputs) : undefined
    if (!rows || rows >= maxBatch) return runModel(target, inputs, { outputs, signal, timeoutMs })
    return join(target, { inputs, rows, outputs, signal })
  }

  async function join(
    target: BatchTarget,
    { signal, ...call }: Pick<Job, 'inputs' | 'rows' | 'outputs'> & { signal?: AbortSignal },
  ) {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<Map<string, Tensor>>()
    const job: Job = { ...call, since: performance.now(), isOver: false, resolve, reject }
    const lane = laneOf(target.model, rowShapeOf(call.inputs, target.model.inputs))
    if (lane.rows + job.rows > MOST_WAITING_ROWS) throw overloaded()
    const leave = () => {
      job.isOver = true
      reject(signal!.reason)
    }
    signal?.addEventListener('abort', leave, { once: true })
    lane.waiting.push(job)
    lane.rows += job.rows
    pump(target, lane)
    return promise.finally(() => signal?.removeEventListener('abort', leave))
  }

  function laneOf(model: LoadedModel, rowShape: string): Lane {
    const ofModel = lanes.get(model) ?? new Map<string, Lane>()
    lanes.set(model, ofModel)
    const forget = () => void ofModel.delete(rowShape)
    const lane = ofModel.get(rowShape) ?? { waiting: [], rows: 0, runs: 0, forget }
    ofModel.set(rowShape, lane)
    return lane
  }

  function pump(target: BatchTarget, lane: Lane) {
    while (lane.waiting.length > 0 && lane.runs < MOST_RUNS) {
      const waited = performance.now() - lane.waiting[0]!.since
      if (lane.runs > 0 && lane.rows < target.maxBatch && waited < delayMs) break
      const jobs = take(lane, target.maxBatch)
      if (jobs.length === 0) continue // their callers left
      lane.runs++
      void runJobs(target, jobs).finally(() => {
        lane.runs--
        pump(target, lane)
      })
    }
    if (lane.runs === 0 && lane.waiting.length === 0) lane.forget()
    const needsTimer = lane.waiting.length > 0 && lane.runs < MOST_RUNS
    if (needsTimer && lane.timer === undefined) {
      lane.timer = setTimeout(() => {
        lane.timer = undefined
        pump(target, lane)
      }, delayMs)
    }
  }

  function take(lane: Lane, maxBatch: number): Job[] {
    const taken: Job[] = []
    let rows = 0
    while (lane.waiting.length > 0) {
      const job = lane.waiting[0]!
      if (rows + job.rows > maxBatch) break
      lane.waiting.shift()
      lane.rows -= job.rows
      if (job.isOver) continue
      if (performance.now() - job.since > timeoutMs) {
        job.reject(tooLate())
        continue
      }
      taken.push(job)
      rows += job.rows
    }
    return taken
  }

  /** Each job gets its answer or its error; never rejects. */
  async function runJobs(target: BatchTarget, jobs: Job[]): Promise<void> {
    try {
      const outputs = jobs.some((job) => !job.outputs) ? undefined : unionOf(jobs)
      const inputs = jobs.length === 1 ? jobs[0]!.inputs : joinRows(jobs.map(({ inputs }) => inputs))
      const answer = await runModel(target, inputs, { outputs, timeoutMs })
      const parts =
        jobs.length === 1
          ? [answer]
          : splitRows(
              answer,
              jobs.map(({ rows }) => rows),
            )
      if (parts) return jobs.forEach((job, n) => void job.resolve(pick(parts[n]!, job.outputs)))
      unjoinable.add(target.model)
    } catch (error) {
      // One caller's numbers may be what the model does not take: the others shall not pay for them.
      const isOnes = jobs.length > 1 && error instanceof HubError && error.status < 500
      if (!isOnes) return jobs.forEach((job) => void job.reject(error))
    }
    await Promise.all(
      jobs
        .filter((job) => !job.isOver)
        .map(({ inputs, outputs, resolve, reject }) =>
          runModel(target, inputs, { outputs, timeoutMs }).then(resolve, reject),
        ),
    )
  }

  return { run }
}

export type MicroBatches = ReturnType<typeof createMicroBatches>

const unionOf = (jobs: readonly Job[]) => [...new Set(jobs.flatMap(({ outputs }) => outputs!))]

function pick(answer: Map<string, Tensor>, names: readonly string[] | undefined): Map<string, Tensor> {
  return names ? new Map(names.map((name) => [name, answer.get(name)!])) : answer
}

const overloaded = () =>
  new HubError({
    code: 'overloaded',
    status: 503,
    message: `More than ${MOST_WAITING_ROWS} rows wait for this model. Try again soon.`,
    retryAfterSeconds: 1,
  })

const tooLate = () =>
  new HubError({
    code: 'inference_timeout',
    status: 504,
    message:
      'The model had no turn for this request in time. Try again later, or raise HUB_INFERENCE_TIMEOUT_SECONDS.',
  })
