import type { Accepted } from '../events/intake.ts'
import type { Secrets } from '../secrets.ts'
import type { Counts, Deliver, RunCall } from './deliver.ts'
import type { RunPull } from './run-pull.ts'
import type { EventSource, StoredSchedule } from './schedule.ts'
import { contextOf } from './schedules.ts'
import { revealSecrets } from './source-secrets.ts'

export interface RunScheduleOptions {
  secrets?: Secrets
  accept: Deliver['accept']
  tell: Deliver['tell']
  runPull: RunPull
}

export interface ScheduleCall extends Omit<RunCall, 'defer'> {
  name: string
  /** For when it was planned, and when to stop; Unix ms. */
  planned: number
  untilMs: number
}

/** What one run of a schedule does. True where there is more of it. */
export function createRunSchedule({ secrets, accept, tell, runPull }: RunScheduleOptions) {
  return async function runSchedule(
    stored: StoredSchedule,
    call: ScheduleCall,
    counts: Counts,
  ): Promise<boolean> {
    const deferred: Promise<unknown>[] = []
    const run: RunCall = { ...call, defer: (work) => void deferred.push(work) }
    const source = revealSecrets(stored.source, stored.sealed, secrets, contextOf(call.tenant, call.name))
    try {
      if (source.type !== 'event') {
        return await runPull(source, stored.target!, { ...call, ...run, made: stored.made }, counts)
      }
      const event = toEvent(source, call)
      if (source.agent !== undefined) {
        const isNew = await tell(source.agent, event, run)
        counts[isNew ? 'accepted' : 'duplicates']++
      } else Object.assign(counts, pickCounts(await accept(source.stream!, [event], run)))
      return false
    } finally {
      await Promise.allSettled(deferred)
    }
  }
}

export type RunSchedule = ReturnType<typeof createRunSchedule>

/** Of one planned time there is one event, however often it is run. */
function toEvent({ event_type = 'hub.schedule', data }: EventSource, { name, planned }: ScheduleCall) {
  const time = new Date(planned).toISOString()
  const content = data === undefined ? {} : { datacontenttype: 'application/json', data }
  return { id: `${name}@${time}`, source: `/v1/schedules/${name}`, type: event_type, time, ...content }
}

const pickCounts = ({ accepted, duplicates }: Accepted) => ({ accepted, duplicates })
