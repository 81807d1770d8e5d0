import type { Bell } from '../bell.ts'
import { AGENTS_DUE, AGENTS_DUE_KEY } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis } from '../ports/redis.ts'
import { settleDueScript } from '../scripts.generated.ts'
import { send } from '../send.ts'

const SLOW = { timeoutMs: 2_000 }
/** Clocks differ by less. */
const SKEW_MS = 60_000

/** When somebody must look after an agent. */
export function createDue({ redis, clock, bell }: { redis: Redis; clock: Clock; bell: Bell }) {
  const due = {
    /** Then, whatever was said before: for who takes it up now and may die. */
    at: (tenant: string, agent: string, at: number): Command => [
      'ZADD',
      AGENTS_DUE_KEY,
      at,
      memberOf(tenant, agent),
    ],

    /** Not later than then: for a wave that begins what may stay half done. */
    by: (tenant: string, agent: string, at: number): Command => [
      'ZADD',
      AGENTS_DUE_KEY,
      'LT',
      at,
      memberOf(tenant, agent),
    ],

    /** Now: for a wave that brings something to do. Whoever looks at this moment, and does not see it, must not say that nothing is due. */
    atOnce: (tenant: string, agent: string): Command => due.by(tenant, agent, clock.now() - SKEW_MS),

    /** Now: whoever is free takes it up. */
    async now(tenant: string, agent: string): Promise<void> {
      const replies = await redis.wave(
        [due.atOnce(tenant, agent), ['PUBLISH', AGENTS_DUE, memberOf(tenant, agent)]],
        SLOW,
      )
      for (const reply of replies) if (reply instanceof Error) throw reply
      bell.ring()
    },

    /** Next then, or never; not later than then where somebody said otherwise since it was due at `was`. */
    async settle(tenant: string, agent: string, was: number, next: number | undefined): Promise<void> {
      const args = [memberOf(tenant, agent), was, next ?? '']
      await send(redis, { script: settleDueScript, keys: [AGENTS_DUE_KEY], args }, SLOW)
    },
  }
  return due
}

export type Due = ReturnType<typeof createDue>

const memberOf = (tenant: string, agent: string) => `${tenant}/${agent}`

export function readMember(member: string): { tenant: string; agent: string } {
  const [tenant = '', agent = ''] = member.split('/')
  return { tenant, agent }
}
