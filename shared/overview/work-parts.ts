import { HUB_GROUP } from '../events/processor.ts'
import type { Streams } from '../events/streams.ts'
import { DELIVERIES_STREAM, EMBED_STREAM, eventKeys, queueKeys, streamKeys } from '../keys.ts'
import type { Command, Redis, Reply } from '../ports/redis.ts'
import type { Queues } from '../queues/queues.ts'
import type { Schedules } from '../schedules/schedules.ts'
import { listed, toRecord } from './list.ts'
import { MOST_SHOWN, type OverviewAsk, type Snapshot } from './snapshot.ts'

interface WorkPartsOptions {
  redis: Redis
  streams: Pick<Streams, 'list'>
  queues: Pick<Queues, 'all'>
  schedules: Pick<Schedules, 'list'>
}

const PATIENT = { timeoutMs: 5_000 }

/** What waits to be done, and what fails again and again. */
export function createWorkParts({ redis, streams, queues, schedules }: WorkPartsOptions) {
  return {
    async streams({ tenant, isAdmin }: OverviewAsk): Promise<Snapshot['streams']> {
      const settings = Object.entries(await streams.list(tenant))
      const own = settings.map(([name, { handler }]) => {
        const worked = handler ? [HUB_GROUP] : []
        return { name, key: eventKeys(tenant, name).events, kind: 'events' as const, handler, groups: worked }
      })
      const ofHub = HUB_STREAMS.map((name) => {
        return { name, key: name, kind: 'hub' as const, handler: undefined, groups: undefined }
      })
      const { data, more } = listed([...(isAdmin ? ofHub : []), ...own])
      const replies = await redis.wave(
        data.flatMap(({ key }): Command[] => [
          ['XLEN', key],
          ['XLEN', streamKeys(key, '').dead],
          ['XINFO', 'GROUPS', key], // an error where there is no such stream yet
        ]),
        PATIENT,
      )
      return {
        data: data.map(({ name, kind, handler, groups }, i) => {
          const [length, dead, infos] = replies.slice(3 * i, 3 * i + 3)
          const state = stateOf(numberOf(length), infos, groups)
          return { name, kind, handler: handler?.type ?? null, ...state, dead: numberOf(dead) }
        }),
        more,
      }
    },

    async queues({ tenant }: OverviewAsk): Promise<Snapshot['queues']> {
      const names = (await queues.all()).filter((one) => one.tenant === tenant).map(({ queue }) => queue)
      const { data, more } = listed(names.sort())
      if (data.length === 0) return { data: [], more }
      const replies = await redis.wave(
        data.flatMap((name): Command[] => {
          const { waiting, leased, dead } = queueKeys(tenant, name)
          return [
            ['LLEN', waiting],
            ['ZCARD', leased],
            ['LLEN', dead],
          ]
        }),
        PATIENT,
      )
      return {
        data: data.map((name, i) => {
          const [waiting, leased, dead] = replies.slice(3 * i, 3 * i + 3).map(numberOf) as [
            number,
            number,
            number,
          ]
          return { name, waiting, leased, dead }
        }),
        more,
      }
    },

    /** Those that fail most often in a row, first. */
    async schedules({ tenant }: OverviewAsk): Promise<Snapshot['schedules']> {
      const failing = (await schedules.list(tenant)).filter((one) => one.consecutive_failures > 0)
      return listed(
        failing
          .sort((a, b) => b.consecutive_failures - a.consecutive_failures)
          .slice(0, MOST_SHOWN + 1)
          .map(({ name, consecutive_failures, last_error, next_run }) => {
            return { name, consecutive_failures, last_error, next_run }
          }),
      )
    },
  }
}

const HUB_STREAMS = [EMBED_STREAM, DELIVERIES_STREAM]

/** Of the groups that work on a stream: these, or all that there are. Redis does not know the lag where entries were deleted. */
function stateOf(length: number, reply: Reply | undefined, names: readonly string[] | undefined) {
  const infos = Array.isArray(reply) ? (reply as Reply[][]).map(toRecord) : []
  const groups = infos.filter(({ name }) => names?.includes(String(name)) ?? true)
  if (names?.length === 0) return { length, lag: null, pending: 0 }
  const lags = groups.map(({ lag }) => lag)
  const known = lags.length > 0 ? Math.max(...lags.map(Number)) : length // nobody has begun
  return {
    length,
    lag: lags.includes(null) ? null : known,
    pending: groups.reduce((sum, { pending }) => sum + Number(pending), 0),
  }
}

const numberOf = (reply: Reply | undefined) => (typeof reply === 'number' ? reply : 0)
