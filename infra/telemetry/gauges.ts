import { HUB_GROUP } from '../../shared/events/processor.ts'
import type { Streams } from '../../shared/events/streams.ts'
import { DEFAULT_TENANT, eventKeys, streamKeys } from '../../shared/keys.ts'
import type { Breakers } from '../../shared/models/breakers.ts'
import type { Command, Redis, Reply } from '../../shared/ports/redis.ts'
import type { Sample, SampledName } from './instruments.ts'

interface GaugesOptions {
  redis: Redis
  streams: Streams
  breakers: Breakers
  /** A series for each tenant's; else those of other tenants than the default one are one series. */
  byTenant: boolean
}

/** Asked of in one look: a scrape is to hold up nobody. */
const MOST_STREAMS = 1_000
const PATIENT = { timeoutMs: 2_000 }

/** What Redis knows and every instance says the same of: breakers, and streams that have a handler. */
export function sharedGauges({ redis, streams, breakers, byTenant }: GaugesOptions) {
  const isShown = (tenant: string) => byTenant || tenant === DEFAULT_TENANT
  const ofTenant = (tenant: string) => (byTenant ? { 'hub.tenant': tenant } : undefined)

  return [
    async (): Promise<Sample[]> =>
      (await breakers.list())
        .filter(({ tenant }) => isShown(tenant))
        .map(({ tenant, name, state }) => ({
          name: 'hub.breaker.state',
          value: state === 'closed' ? 0 : state === 'open' ? 1 : 0.5,
          attributes: { 'hub.breaker.name': name, ...ofTenant(tenant) },
        })),

    async (): Promise<Sample[]> => {
      const all = await streams.handled()
      // Where there are too many, those that are told by their names go first.
      const handled = [...all].sort((a, b) => Number(isShown(b.tenant)) - Number(isShown(a.tenant)))
      handled.splice(MOST_STREAMS)
      if (handled.length === 0) return []
      const replies = await redis.wave(
        handled.flatMap(({ tenant, stream }): Command[] => {
          const { events } = eventKeys(tenant, stream)
          return [
            ['XINFO', 'GROUPS', events],
            ['XLEN', streamKeys(events, HUB_GROUP).dead],
          ]
        }),
        PATIENT,
      )
      const sums = new Map<string, Sample>()
      const add = (name: SampledName, value: number, attributes: Record<string, string>) => {
        const key = JSON.stringify([name, attributes])
        sums.set(key, { name, attributes, value: (sums.get(key)?.value ?? 0) + value })
      }
      for (const [i, { tenant, stream }] of handled.entries()) {
        const attributes = {
          'messaging.destination.name': isShown(tenant) ? stream : '_OTHER',
          ...ofTenant(tenant),
        }
        const { lag, pending } = ownGroup(replies[2 * i])
        add('hub.stream.lag', lag, attributes)
        add('hub.stream.pending', pending, attributes)
        add('hub.stream.dead', Number(replies[2 * i + 1]) || 0, attributes)
      }
      return [...sums.values()]
    },
  ]
}

/** Of the group of the stream's handler; Redis does not know the lag after entries were deleted from the middle. */
function ownGroup(reply: Reply | undefined): { lag: number; pending: number } {
  const groups = Array.isArray(reply) ? (reply as (string | number | null)[][]) : []
  for (const flat of groups) {
    const group = Object.fromEntries(flat.flatMap((name, i) => (i % 2 ? [] : [[name, flat[i + 1]]])))
    if (group.name === HUB_GROUP) return { lag: Number(group.lag ?? 0), pending: Number(group.pending ?? 0) }
  }
  return { lag: 0, pending: 0 }
}
