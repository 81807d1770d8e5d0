import type { Admission } from '../admission.ts'
import type { AgentMail } from '../agents/agent-mail.ts'
import { HubError, toHubError } from '../errors.ts'
import type { Accepted, Intake, NewEvent } from '../events/intake.ts'
import type { DocumentInput, Documents } from '../retrieval/documents.ts'
import type { Indexes } from '../retrieval/indexes.ts'
import type { PulledItem } from './pulled.ts'
import type { LastRun, PullSource, Target } from './schedule.ts'

export interface DeliverOptions {
  intake: Intake
  agentMail: Pick<AgentMail, 'sendEvent'>
  documents: Pick<Documents, 'put'>
  indexes: Pick<Indexes, 'resolve'>
  admission: Pick<Admission, 'recall'>
}

/** Whose schedule, and what its run gives along. */
export interface RunCall {
  tenant: string
  keyId: string | null
  signal: AbortSignal
  defer(work: Promise<unknown>): void
}

export type Counts = Pick<LastRun, 'accepted' | 'duplicates' | 'refused' | 'first_refusal'>

/** Hands to a stream or an index what a schedule brings, in the name of the key that made the schedule. */
export function createDeliver({ intake, agentMail, documents, indexes, admission }: DeliverOptions) {
  /** Resolves once all of them are taken in, but those that the target will never take: they are counted in `counts`. */
  async function deliver(
    items: readonly PulledItem[],
    source: PullSource,
    target: Target,
    call: RunCall,
    counts: Counts,
  ): Promise<void> {
    const ready = (
      await Promise.all(
        items.map(async (item) => {
          try {
            const made = 'stream' in target ? await item.data() : await item.document()
            return { item, made }
          } catch (error) {
            refuse(counts, item.id, error)
          }
        }),
      )
    ).filter((one) => one !== undefined)
    if (ready.length === 0) return
    if ('stream' in target) {
      const events = ready.map(({ item, made }) => toEvent(item, made, source))
      await each(events, counts, async (some) => {
        const { accepted, duplicates } = await accept(target.stream, some, call)
        counts.accepted += accepted
        counts.duplicates += duplicates
      })
    } else {
      const { tenant, keyId, signal, defer } = call
      const caller = await admission.recall(tenant, keyId, 'search')
      const index = await indexes.resolve(tenant, target.index)
      const inputs = ready.map(({ item, made }) => ({ id: item.id, ...(made as Omit<DocumentInput, 'id'>) }))
      await each(inputs, counts, async (some) => {
        const written = await documents.put(index, some, { caller, signal, defer })
        counts.duplicates += written.filter(({ unchanged }) => unchanged).length
        counts.accepted += written.filter(({ unchanged }) => !unchanged).length
      })
    }
  }

  async function accept(stream: string, events: NewEvent[], call: RunCall): Promise<Accepted> {
    await admission.recall(call.tenant, call.keyId, 'ingest-event')
    return intake.accept(call.tenant, stream, events, call.defer)
  }

  /** Sends an event to an agent: whether it is new. */
  async function tell(agent: string, event: NewEvent, { tenant, keyId, defer }: RunCall): Promise<boolean> {
    await admission.recall(tenant, keyId, 'agent-step')
    return agentMail.sendEvent(tenant, agent, event, defer)
  }

  return { deliver, accept, tell }
}

export type Deliver = ReturnType<typeof createDeliver>

function toEvent(item: PulledItem, data: unknown, source: PullSource): NewEvent {
  return {
    id: item.id,
    source: sourceOf(source),
    type: source.event_type ?? `hub.pulled.${source.type}`,
    ...(item.time && { time: item.time }),
    ...(item.subject && { subject: item.subject }),
    datacontenttype: 'application/json',
    data,
  }
}

const sourceOf = (source: PullSource) =>
  source.type === 's3' ? `s3://${source.bucket}` : new URL(source.url).href

/** All together; where one of them is bad, each by itself, so that it does not hold up the others. */
async function each<T extends { id?: string }>(
  items: T[],
  counts: Counts,
  give: (some: T[]) => Promise<void>,
): Promise<void> {
  try {
    await give(items)
  } catch (error) {
    if (!isRefusal(error)) throw error
    if (items.length === 1) return refuse(counts, items[0]!.id ?? '', error)
    for (const item of items) await each([item], counts, give)
  }
}

function refuse(counts: Counts, id: string, error: unknown): void {
  if (!isRefusal(error)) throw error
  counts.refused++
  counts.first_refusal ??= { id, message: toHubError(error).message }
}

/** It is the item's own fault, and will be the next time. */
const isRefusal = (error: unknown): error is HubError =>
  error instanceof HubError && [400, 413, 415, 422, 501].includes(error.status)
