import type { Caller } from '../../admission.ts'
import type { RowSource } from './row-inputs.ts'
import type { Value } from './value.ts'

/** What a pipeline is run for. */
export interface PipelineRow {
  /** The same when it comes again: windows and datasets hold it once. */
  id: string
  /** In the order that rows came in: Unix ms, a part of one for those that came in the same. */
  place: number
  /** When it was so, Unix ms. */
  time: number
  source: RowSource
}

/** How it went with one row. */
export type RowOutcome = { outputs: Record<string, Value> } | { failed: unknown }

export interface PipelineRun {
  /** In the pipeline's order. */
  models: { name: string; version: string }[]
  /** In the order of the rows. */
  rows: RowOutcome[]
}

export interface PipelineCall {
  caller: Caller
  signal: AbortSignal
  defer(work: Promise<unknown>): void
  /** Where a bad row fails all of them, as far as can be told before anything is written: what the row is called in the error. */
  rowName?(n: number): string
}
