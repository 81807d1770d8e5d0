import { z } from 'zod'
import type { Admission, Caller } from '../admission.ts'
import type { PipelineRow } from '../inference/pipelines/pipeline-call.ts'
import type { Pipelines } from '../inference/pipelines/pipelines.ts'
import { NAME } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import { createRecall } from '../recall.ts'
import { toFailure } from './failure.ts'
import type { EventHandler, Handled, HandledEvent } from './handlers.ts'

export interface InferHandlerOptions {
  pipelines: Pick<Pipelines, 'run'>
  admission: Pick<Admission, 'recall'>
  clock: Clock
}

const InferSettings = z.strictObject({
  pipeline: z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -'),
})
type InferSettings = z.output<typeof InferSettings>

/** A tenant's limits and budget, by which embeddings are paid for. */
const REMEMBERED = { freshMs: 1_000, staleMs: 1_000, maxSize: 10_000 }

/**
 * Runs a pipeline for many events at once, in the name of the stream's tenant. Result: the pipeline's results, by name. An event that it
 * cannot be run for fails no other. Windows hold values in the order in which events came; where each one must see all before it, the
 * stream needs a key.
 */
export function createInferHandler({
  pipelines,
  admission,
  clock,
}: InferHandlerOptions): EventHandler<InferSettings> {
  const callers = createRecall<Caller>(REMEMBERED)
  return {
    settings: InferSettings,
    batch: 250,
    calls: 6,
    async handle(events, { pipeline }, { tenant, signal }) {
      const deferred: Promise<unknown>[] = []
      try {
        const caller = await callers.get(tenant, () => admission.recall(tenant, null, 'infer'))
        const now = clock.now()
        const { rows } = await pipelines.run(
          pipeline,
          events.map((event, n) => toRow(event, n, now)),
          { caller, signal, defer: (work) => void deferred.push(work) },
        )
        return rows.map((row): Handled => ('failed' in row ? toFailure(row.failed) : { result: row.outputs }))
      } finally {
        await Promise.allSettled(deferred)
      }
    },
  }
}

function toRow({ event, resultId, entryId }: HandledEvent, n: number, now: number): PipelineRow {
  const [ms, part] = entryId ? entryId.split('-') : [now, n]
  return {
    id: resultId,
    // What a double can tell apart within a millisecond.
    place: Number(ms) + Math.min(Number(part), 4_095) / 4_096,
    time: Date.parse(event.time) || now,
    source: { event },
  }
}
