import type { Datasets } from '../../datasets/datasets.ts'
import type { Embeddings } from '../../embeddings/embeddings.ts'
import { HubError } from '../../errors.ts'
import type { Features } from '../../features/features.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Command, Redis, ScriptCall } from '../../ports/redis.ts'
import { type Replies, splitReplies } from '../../send.ts'
import type { ModelLease } from '../loaded-models.ts'
import type { Serving } from '../serving.ts'
import { type Binding, bindPlan } from './binding.ts'
import { embedRows } from './embed-rows.ts'
import { lookUp } from './look-ups.ts'
import type { PipelineCall, PipelineRow, PipelineRun } from './pipeline-call.ts'
import type { Plan, PlannedStep } from './plan.ts'
import { postprocess } from './postprocess.ts'
import { recordRows } from './record-rows.ts'
import { checkNames, readInput } from './row-inputs.ts'
import { type ModelRow, runModels } from './run-models.ts'
import { isFiniteValue, notANumber } from './value.ts'
import { type OpenRow, pushWindow } from './windows.ts'

export interface RunPipelineOptions {
  redis: Redis
  serving: Pick<Serving, 'acquire'>
  features: Pick<Features, 'ask'>
  datasets: Pick<Datasets, 'append'>
  embeddings: Embeddings
  /** Of one run of models. */
  timeoutMs: number
  clock: Clock
}

interface RunningRow extends ModelRow {
  source: PipelineRow
  failed?: { error: unknown }
}

export type RunPipeline = (
  plan: Plan,
  rows: readonly PipelineRow[],
  call: PipelineCall,
) => Promise<PipelineRun>

/** Of the one wave of features and windows. */
const ASK = { timeoutMs: 1_000 }

/**
 * Runs a pipeline for many rows: one wave of features and windows, one call to each runtime, one wave of training data. What is wrong with
 * a row is that row's outcome; what is thrown concerns all of them.
 */
export function createRunPipeline(options: RunPipelineOptions): RunPipeline {
  const { redis, serving, features, datasets, embeddings, timeoutMs, clock } = options
  /** Models mostly are those of the last run. */
  const bindings = new WeakMap<Plan, Binding>()

  return async (plan, sources, call) => {
    const { tenant } = call.caller
    const rows = sources.map((source): RunningRow => {
      const { id, place } = source
      return { id, place, source, values: [], made: new Map() }
    })
    const open = () => rows.filter((row) => !row.failed)
    const fail = (row: OpenRow, error: unknown) => {
      ;(row as RunningRow).failed ??= { error }
    }
    const attempt = (work: (row: RunningRow) => void) => {
      for (const row of open()) {
        try {
          work(row)
        } catch (error) {
          fail(row, error)
        }
      }
    }

    const mustAll = () => {
      const n = call.rowName ? rows.findIndex((row) => row.failed) : -1
      if (n >= 0) throw located(rows[n]!.failed!.error, call.rowName!(n))
    }

    const leases = await acquireModels(serving, tenant, plan)
    try {
      const binding = bind(plan, leases)
      attempt((row) => {
        checkNames(plan.inputs, row.source.source)
        for (const input of plan.inputs) row.values[input.slot] = readInput(input, row.source.source)
        prepare(plan.before, row)
      })
      mustAll()
      await Promise.all([ask(), embedRows(embeddings, plan.embeddings, open(), { ...call, fail })])
      attempt((row) => prepare(plan.after, row))
      await runModels(binding, open(), { timeoutMs, signal: call.signal, fail })
      attempt((row) => show(plan, binding, row))
      mustAll()
    } finally {
      for (const lease of leases) lease.release()
    }
    const models = leases.map(({ ref: { name, version } }) => ({ name, version }))
    const done = open()
    if (plan.definition.record && done.length > 0) {
      const now = clock.now()
      const toDone = (row: RunningRow) => ({
        ...row,
        time: Math.min(row.source.time, now),
        outputs: outputs(row),
      })
      const outcomes = done.map(toDone)
      await recordRows(datasets, tenant, plan, outcomes, models)
    }
    return {
      models,
      rows: rows.map((row) => (row.failed ? { failed: row.failed.error } : { outputs: outputs(row) })),
    }

    /** Features and windows, together. */
    async function ask() {
      const waiting = open()
      if (waiting.length === 0) return
      const parts: Asked[] = [
        ...plan.lookUps.map((planned) => lookUp(features, tenant, planned, waiting, fail)),
        ...plan.windows.map((window) => pushWindow(tenant, plan.name, window, open())),
      ]
      const calls = parts.flatMap((part) => part.calls)
      if (calls.length === 0) return
      let replies: Replies = await redis.wave(calls, ASK)
      for (const { calls, settle } of parts) {
        const [own, others] = splitReplies(replies, calls.length)
        settle(own)
        replies = others
      }
    }
  }

  function bind(plan: Plan, leases: readonly ModelLease[]): Binding {
    const known = bindings.get(plan)
    if (known?.models.every((model, n) => model === leases[n]!.model)) return known
    const binding = bindPlan(plan, leases)
    bindings.set(plan, binding)
    return binding
  }
}

/** Leases of all models of a plan, to be released. Throws as `Serving.acquire`; `param` tells which model. */
export async function acquireModels(
  serving: Pick<Serving, 'acquire'>,
  tenant: string,
  plan: Plan,
): Promise<ModelLease[]> {
  const acquiring = plan.definition.models.map(({ model, version }) =>
    serving.acquire(tenant, model, version),
  )
  const settled = await Promise.allSettled(acquiring)
  const leases = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const place = settled.findIndex(({ status }) => status === 'rejected')
  if (place < 0) return leases
  for (const lease of leases) lease.release()
  throw located((settled[place] as PromiseRejectedResult).reason, `models[${place}]`)
}

/** A part of a wave. */
interface Asked {
  calls: (Command | ScriptCall)[]
  settle(replies: Replies): void
}

function prepare(steps: readonly PlannedStep[], { values }: RunningRow) {
  for (const { from, to, run, path } of steps) {
    const made = run(from.map((slot) => values[slot]!))
    if (!isFiniteValue(made)) throw notANumber(path, 'what it makes')
    values[to] = made
  }
}

/** Leaves the results in `made`. */
function show({ definition, values }: Plan, { results }: Binding, row: RunningRow) {
  const named = (name: string) => row.made.get(name) ?? row.values[values.get(name)!.slot]!
  for (const [n, step] of definition.postprocess.entries()) {
    const { from, as = from } = step
    row.made.set(as, postprocess(step, named(from), `postprocess[${n}]`))
  }
  const shown = results.map((name) => [name, named(name)] as const)
  for (const [name, value] of shown)
    if (!isFiniteValue(value)) throw notANumber(name, `the result \`${name}\``)
  row.made = new Map(shown)
}

const outputs = ({ made }: RunningRow) => Object.fromEntries(made)

function located(error: unknown, path: string): unknown {
  if (!(error instanceof HubError) || error.status >= 500) return error
  const param = [path, error.param].filter(Boolean).join('.') || undefined
  return new HubError({ ...error.options, param, cause: error.cause })
}
