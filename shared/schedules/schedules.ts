import { HubError } from '../errors.ts'
import { newId } from '../ids.ts'
import { SCHEDULES_DUE_KEY, SCHEDULES_RUNS_KEY, scheduleKeys, schedulesKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis, Reply, ScriptCall } from '../ports/redis.ts'
import { moveScheduleScript } from '../scripts.generated.ts'
import type { Secrets } from '../secrets.ts'
import { send } from '../send.ts'
import { checkRule, nextDue } from './next-due.ts'
import type { Schedule, ScheduleState, ShownSchedule, StoredSchedule } from './schedule.ts'
import { hideSecrets } from './source-secrets.ts'

export interface SchedulesOptions {
  redis: Redis
  /** Without them no source has secret headers or keys. */
  secrets?: Secrets
  clock: Clock
  /** Something may be due earlier than it was. */
  onChanged(): void
}

const TIMEOUT = { timeoutMs: 2_000 }
/** Most of one tenant. */
const MOST = 1_000

/** A tenant's schedules, and when they are due. What runs them is `schedule-runner.ts`. */
export function createSchedules({ redis, secrets, clock, onChanged }: SchedulesOptions) {
  const read = async (tenant: string, name: string) => {
    const stored = (await send(redis, ['HGET', schedulesKey(tenant), name], TIMEOUT)) as string | null
    return stored === null ? undefined : (JSON.parse(stored) as StoredSchedule)
  }

  async function show(tenant: string, schedules: [string, StoredSchedule][]): Promise<ShownSchedule[]> {
    if (schedules.length === 0) return []
    const members = schedules.map(([name]) => memberOf(tenant, name))
    const [due, ...states] = must(
      await redis.wave(
        [
          ['ZMSCORE', SCHEDULES_DUE_KEY, ...members],
          ...schedules.map(([name]) => ['HGET', scheduleKeys(tenant, name).schedule, 'state'] as const),
        ],
        TIMEOUT,
      ),
    )
    return schedules.map(([name, stored], i) => {
      const state = stateOf(stored, states[i] as string | null)
      return toShown(name, stored, (due as (string | null)[])[i] ?? null, state)
    })
  }

  return {
    /**
     * It goes on from where its source was read to, as long as that is the same. Due first at its next time, or `every_seconds` from now.
     *
     * Errors: 400 for a rule that is none, 501 `secret_key_missing` for a source with secrets, 409 `too_many_schedules`.
     */
    async put(
      tenant: string,
      keyId: string | null,
      name: string,
      schedule: Schedule,
    ): Promise<ShownSchedule> {
      const now = clock.now()
      checkRule(schedule, now)
      const key = schedulesKey(tenant)
      const [known, count] = must(
        await redis.wave(
          [
            ['HGET', key, name],
            ['HLEN', key],
          ],
          TIMEOUT,
        ),
      )
      if (known === null && (count as number) >= MOST) throw tooMany()
      const old = known === null ? undefined : (JSON.parse(known as string) as StoredSchedule)
      const { source, sealed } = hideSecrets(schedule.source, secrets, contextOf(tenant, name))
      const at = new Date(now).toISOString()
      const made = old?.made ?? newId()
      const stored: StoredSchedule = {
        ...schedule,
        ...{ source, sealed, made, key_id: keyId, created_at: old?.created_at ?? at, updated_at: at },
      }
      const due = schedule.enabled ? nextDue(schedule, now) : undefined
      // A run of what it was before can say no more when it is due.
      const moved = moveCall(tenant, name, { at: due })
      must(
        await redis.wave([moved, ['HSET', key, name, JSON.stringify(stored)]], { ...TIMEOUT, ordered: true }),
      )
      onChanged()
      const [shown] = await show(tenant, [[name, stored]])
      return shown!
    },

    /** 404 `schedule_not_found`. */
    async get(tenant: string, name: string): Promise<ShownSchedule> {
      const stored = await read(tenant, name)
      if (!stored) throw unknownSchedule(name)
      const [shown] = await show(tenant, [[name, stored]])
      return shown!
    },

    async list(tenant: string): Promise<ShownSchedule[]> {
      const flat = (await send(redis, ['HGETALL', schedulesKey(tenant)], TIMEOUT)) as string[]
      const names = flat.filter((_, i) => i % 2 === 0)
      const all = names.map((name, i): [string, StoredSchedule] => [name, JSON.parse(flat[2 * i + 1]!)])
      return show(
        tenant,
        all.sort(([a], [b]) => (a < b ? -1 : 1)),
      )
    },

    /** What it has read is forgotten. 404 `schedule_not_found`. */
    async delete(tenant: string, name: string): Promise<void> {
      const { schedule, seen } = scheduleKeys(tenant, name)
      const replies = await redis.wave(
        [moveCall(tenant, name, {}), ['HDEL', schedulesKey(tenant), name], ['DEL', schedule], ['DEL', seen]],
        TIMEOUT,
      )
      if (must(replies)[1] === 0) throw unknownSchedule(name)
    },
  }
}

export type Schedules = ReturnType<typeof createSchedules>

/** Tenants and names hold no slash. */
export const memberOf = (tenant: string, name: string) => `${tenant}/${name}`

/** What a source's secrets are sealed for. */
export const contextOf = (tenant: string, name: string) => `schedule/${tenant}/${name}`

/**
 * When it is due: Unix ms, or never. With a `run`: only where that one has it; `keptMs`: it goes on having it; `again`: the next run is
 * for what this one was planned for.
 */
export function moveCall(
  tenant: string,
  name: string,
  { at, run = '', keptMs, again = false }: { at?: number; run?: string; keptMs?: number; again?: boolean },
): ScriptCall {
  const when = keptMs === undefined ? String(at ?? '') : `+${keptMs}`
  const args = [memberOf(tenant, name), run, when, again ? '1' : '']
  return { script: moveScheduleScript, keys: [SCHEDULES_DUE_KEY, SCHEDULES_RUNS_KEY], args }
}

/** Undefined where nothing ran yet. */
export function stateOf({ made }: StoredSchedule, text: string | null): ScheduleState | undefined {
  const state = text === null ? undefined : (JSON.parse(text) as ScheduleState)
  return state?.made === made ? state : undefined
}

/** Replies without an error among them, which is thrown. */
export function must(replies: Reply[]): Reply[] {
  const error = replies.find((reply) => reply instanceof Error)
  if (error) throw error
  return replies
}

function toShown(
  name: string,
  stored: StoredSchedule,
  due: string | null,
  state?: ScheduleState,
): ShownSchedule {
  const { made, key_id, sealed, ...schedule } = stored
  return {
    name,
    ...schedule,
    next_run: due === null ? null : new Date(Number(due)).toISOString(),
    last_run: state?.last ?? null,
    last_error: state?.last_error ?? null,
    consecutive_failures: state?.failures ?? 0,
  }
}

export const unknownSchedule = (name: string) =>
  new HubError({
    code: 'schedule_not_found',
    status: 404,
    message: `There is no schedule \`${name}\`.`,
    param: 'name',
  })

const tooMany = () =>
  new HubError({
    code: 'too_many_schedules',
    status: 409,
    message: `A tenant has at most ${MOST} schedules. Delete one: DELETE /v1/schedules/{name}.`,
  })
