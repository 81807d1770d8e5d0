import { type AgentRecord, readAgent, readSteps, type StreamReply } from '../agents/agent-record.ts'
import type { Alert, AlertSubject } from '../alerts/alert-rule.ts'
import type { AlertRules, NamedAlertRule } from '../alerts/alert-rules.ts'
import { ALERTS_CHANNEL } from '../alerts/alerts.ts'
import { agentIdsKey, agentKeys, alertKeys, channelKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis } from '../ports/redis.ts'
import { send } from '../send.ts'
import { listed, toRecord, toTime } from './list.ts'
import type { OverviewAsk, Snapshot } from './snapshot.ts'

interface AgentPartsOptions {
  redis: Redis
  alertRules: Pick<AlertRules, 'known'>
  clock: Clock
}

/** Agents that are looked at: the first ones by name. */
const MOST_AGENTS = 200
const LATEST_ALERTS = 20
const PATIENT = { timeoutMs: 5_000 }

/** Who acts by itself, and what told people to look. */
export function createAgentParts({ redis, alertRules, clock }: AgentPartsOptions) {
  return {
    async agents({ tenant }: OverviewAsk): Promise<Snapshot['agents']> {
      const range = ['ZRANGE', agentIdsKey(tenant), '-', '+', 'BYLEX', 'LIMIT', 0, MOST_AGENTS + 1] as const
      const ids = (await send(redis, range, PATIENT)) as string[]
      const looked = ids.slice(0, MOST_AGENTS)
      if (looked.length === 0) return { data: [], more: false }
      const replies = await redis.wave(
        looked.flatMap((id): Command[] => {
          const { agent, steps } = agentKeys(tenant, id)
          return [
            ['HGETALL', agent],
            ['XREVRANGE', steps, '+', '-', 'COUNT', 1],
          ]
        }),
        PATIENT,
      )
      for (const reply of replies) if (reply instanceof Error) throw reply
      const agents = looked.flatMap((id, i) => {
        const record = readAgent(replies[2 * i] as string[])
        return record ? [shown(id, record, replies[2 * i + 1] as StreamReply)] : []
      })
      const { data, more } = listed(agents.sort((a, b) => timeOf(b) - timeOf(a)))
      return { data, more: more || ids.length > MOST_AGENTS }
    },

    async alerts({ tenant }: OverviewAsk): Promise<Snapshot['alerts']> {
      const { data: rules, more } = listed(await alertRules.known(tenant))
      const [latest, ...states] = await redis.wave(
        [
          ['XREVRANGE', channelKeys(tenant, ALERTS_CHANNEL).stream, '+', '-', 'COUNT', LATEST_ALERTS],
          ...rules.map(({ name }): Command => ['HGET', alertKeys(tenant, name).state, 'fired_at']),
        ],
        PATIENT,
      )
      for (const reply of [latest, ...states]) if (reply instanceof Error) throw reply
      return {
        rules: { data: rules.map((rule, i) => shownRule(rule, states[i] as string | null)), more },
        latest: (latest as StreamReply).flatMap(([, fields]) => {
          const { type, data } = toRecord(fields)
          return type === 'alert' ? [JSON.parse(data!) as Alert & Record<string, unknown>] : []
        }),
      }
    },
  }

  function shown(id: string, record: AgentRecord, journal: StreamReply) {
    const { settings, status, version, steps, state, claimedUntil } = record
    return {
      ...{ id, role: settings.role, version, steps },
      status: claimedUntil > clock.now() ? 'running' : status,
      last_step_at: readSteps(journal)[0]?.finished_at ?? null,
      error: state.error?.message ?? null,
    }
  }

  function shownRule({ name, on, when, cooldown_seconds }: NamedAlertRule, firedAt: string | null) {
    const until = when.type === 'absence' || !firedAt ? 0 : Number(firedAt) + cooldown_seconds * 1000
    return {
      ...{ name, type: when.type, on: textOf(on) },
      fired_at: firedAt ? toTime(firedAt) : null,
      quiet_until: until > clock.now() ? toTime(until) : null,
    }
  }
}

const timeOf = ({ last_step_at: at }: { last_step_at: string | null }) => (at === null ? 0 : Date.parse(at))

const textOf = (on: AlertSubject) => Object.entries(on)[0]!.join(':')
