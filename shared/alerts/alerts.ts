import { createHash } from 'node:crypto'
import type { HubEvent } from '../events/event.ts'
import type { EventResult } from '../events/results.ts'
import type { HandlerSettings } from '../events/streams.ts'
import { valueAt } from '../events/value-at.ts'
import { alertKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis, Reply, ScriptCall } from '../ports/redis.ts'
import type { Realtime } from '../realtime/realtime.ts'
import { observeAlertScript } from '../scripts.generated.ts'
import type { GroupLog } from '../streams/group-worker.ts'
import type { Deliveries, Delivery } from '../webhooks/deliveries.ts'
import { type Alert, type AlertSubject, concerns } from './alert-rule.ts'
import type { AlertRules, NamedAlertRule } from './alert-rules.ts'

export interface AlertsOptions {
  redis: Redis
  rules: AlertRules
  realtime: Realtime
  deliveries: Pick<Deliveries, 'send'>
  clock: Clock
  log: GroupLog
}

/** What rules look at. */
export interface Observed {
  /** The same when it comes again: then it counts once. */
  id: string
  /** When it came, Unix ms. */
  at: number
  event: HubEvent
  result?: EventResult
}

/** Channel that alerts are published on. */
export const ALERTS_CHANNEL = 'alerts'

/** What is not sent by then was left behind by a process that died. */
const LEFT_BEHIND_MS = 15_000
const PATIENT = { timeoutMs: 2_000 }

/**
 * Alerts over events and results. At least once: what fires is kept until the channel has it and its webhook is queued; both may get it
 * twice, with the same id.
 */
export function createAlerts({ redis, rules, realtime, deliveries, clock, log }: AlertsOptions) {
  const alerts = {
    /** Lets the rules see events or results of one stream: no wave where there is no rule for it, else one, and one for what fires. */
    async observe(tenant: string, on: AlertSubject, items: readonly Observed[]): Promise<void> {
      const concerned = (await rules.known(tenant)).filter((rule) => sameSubject(rule.on, on))
      const asked = concerned.flatMap((rule) => {
        const call = observeCall(tenant, rule, items)
        return call ? [{ rule, call }] : []
      })
      if (asked.length === 0) return
      const replies = await ask(asked.map(({ call }) => call))
      await Promise.all(
        asked.flatMap(({ rule }, i) => (replies[i] as string[]).map((alert) => tell(tenant, rule, alert))),
      )
    },

    /** For the processor. */
    async observeResults(
      tenant: string,
      stream: string,
      results: readonly { event: HubEvent; result: EventResult }[],
      handler?: HandlerSettings,
    ): Promise<void> {
      const items = results.map(({ event, result }) => ({
        ...{ id: result.id, at: Date.parse(result.at), event, result },
      }))
      const pipeline = handler?.type === 'infer' ? handler.pipeline : undefined
      const subjects = [{ results: stream }, ...(typeof pipeline === 'string' ? [{ pipeline }] : [])]
      await Promise.all(subjects.map((subject) => alerts.observe(tenant, subject, items)))
    },

    /** Finds silences, and sends what a dead process did not. Two waves where there are rules, one where there are none. */
    async tick(): Promise<void> {
      const all = await rules.all()
      const each = [...all].flatMap(([tenant, named]) => named.map((rule) => ({ tenant, rule })))
      if (each.length === 0) return
      const states = await ask(
        each.map(({ tenant, rule }): Command => ['HGETALL', alertKeys(tenant, rule.name).state]),
      )
      const now = clock.now()
      await Promise.all(
        each.map(async ({ tenant, rule }, i) => {
          const state = toState(states[i]!)
          const left = Object.entries(state)
            .filter(([field]) => field.startsWith('pending:'))
            .map(([, text]) => text.split(/ (.*)/s) as [string, string])
            .filter(([at]) => now - Number(at) >= LEFT_BEHIND_MS)
            .map(([, alert]) => alert)
          const silence = silenceOf(tenant, rule, state, now)
          const [fired] = silence ? ((await ask([fireCall(tenant, rule, silence)])) as string[][]) : []
          await Promise.all([...left, ...(fired ?? [])].map((alert) => tell(tenant, rule, alert)))
        }),
      )
    },
  }
  return alerts

  async function ask(calls: readonly (Command | ScriptCall)[]): Promise<Reply[]> {
    const replies = await redis.wave(calls, PATIENT)
    for (const reply of replies) if (reply instanceof Error) throw reply
    return replies
  }

  /** The last step forgets it: what fails, or dies before, is left to `tick`, and holds up nothing else. */
  async function tell(tenant: string, rule: NamedAlertRule, text: string) {
    const alert: Alert = JSON.parse(text)
    try {
      await Promise.all([
        realtime.publish(tenant, ALERTS_CHANNEL, { data: alert, type: 'alert', once: alert.id }),
        rule.webhook && deliveries.send(tenant, toDelivery(tenant, rule, rule.webhook, alert)),
      ])
      await ask([['HDEL', alertKeys(tenant, rule.name).state, `pending:${alert.id}`]])
    } catch (cause) {
      log.error({
        msg: 'An alert was not sent: it will be tried again',
        tenant,
        rule: rule.name,
        id: alert.id,
        cause,
      })
    }
  }

  function toDelivery(
    tenant: string,
    rule: NamedAlertRule,
    { url, allow_private }: NonNullable<NamedAlertRule['webhook']>,
    alert: Alert,
  ): Delivery {
    return {
      ...{ id: alert.id, url, secret: rules.secretOf(tenant, rule), allowPrivate: allow_private },
      ...{ payload: alert, type: 'alert.fired' },
    }
  }

  function observeCall(
    tenant: string,
    rule: NamedAlertRule,
    items: readonly Observed[],
  ): ScriptCall | undefined {
    const found = items.filter(({ event, result }) => concerns(rule, result ? { ...result, event } : event))
    if (found.length === 0) return undefined
    const { when, cooldown_seconds } = rule
    if (when.type === 'absence') {
      const last = found.reduce((a, b) => (b.at > a.at ? b : a))
      return call(tenant, rule, 'absence', [['', last.at, '']])
    }
    const idOf = (item: Observed) => alertId(tenant, rule, item.id)
    if (when.type === 'rate') {
      // Many are counted for one alert, which shows the last of them.
      const counted = found.map((item): Item => [idOf(item), item.at, ''])
      return call(tenant, rule, 'rate', counted, toAlert(rule, found.at(-1)!))
    }
    // While it is quiet after the first one, the others would not fire.
    const firing = cooldown_seconds > 0 ? found.slice(0, 1) : found
    const each = firing.map((item): Item => [idOf(item), item.at, JSON.stringify(toAlert(rule, item))])
    return call(tenant, rule, 'fire', each)
  }

  function fireCall(tenant: string, rule: NamedAlertRule, { id, ...about }: Alert): ScriptCall {
    return call(tenant, rule, 'fire', [[id, clock.now(), JSON.stringify(about)]])
  }

  function call(
    tenant: string,
    rule: NamedAlertRule,
    kind: 'fire' | 'rate' | 'absence',
    items: Item[],
    common?: Omit<Alert, 'id'>,
  ): ScriptCall {
    const { rules: key, state, recent } = alertKeys(tenant, rule.name)
    const { when, cooldown_seconds } = rule
    const [count, windowMs] = when.type === 'rate' ? [when.count, when.window_seconds * 1000] : [0, 0]
    // Silences are told apart by what came between them.
    const cooldownMs = when.type === 'absence' ? 0 : cooldown_seconds * 1000
    const about = common ? JSON.stringify(common) : ''
    const args = [rule.name, kind, clock.now(), cooldownMs, count, windowMs, about, ...items.flat()]
    return { script: observeAlertScript, keys: [key, state, recent], args }
  }
}

export type Alerts = ReturnType<typeof createAlerts>

/** `about`: the alert without its id, JSON; '' for what all have in common. */
type Item = [id: string, at: number, about: string]

/** Of one silence the same, whoever notices it. */
function silenceOf(
  tenant: string,
  rule: NamedAlertRule,
  state: Record<string, string>,
  now: number,
): Alert | undefined {
  if (rule.when.type !== 'absence') return undefined
  const seen = state.seen === undefined ? undefined : Number(state.seen)
  const since = seen ?? Date.parse(rule.updated_at)
  const id = alertId(tenant, rule, String(since))
  if (now - since < rule.when.seconds * 1000 || state.fired_id === id) return undefined
  return {
    ...{ id, rule: rule.name, type: 'absence', on: rule.on, at: new Date(now).toISOString() },
    seconds: rule.when.seconds,
    last_seen: seen === undefined ? null : new Date(seen).toISOString(),
  }
}

function toAlert({ name, on, when }: NamedAlertRule, { at, event, result }: Observed): Omit<Alert, 'id'> {
  const alert: Omit<Alert, 'id'> = {
    ...{ rule: name, type: when.type, on, at: new Date(at).toISOString() },
    event: { id: event.id, source: event.source, type: event.type },
    ...(result && { result_id: result.id }),
  }
  if (when.type === 'rate') return { ...alert, count: when.count, window_seconds: when.window_seconds }
  if (when.type !== 'threshold') return alert
  const found = valueAt(result ? { ...result, event } : event, when.path)
  const value = typeof found === 'object' ? undefined : found
  return { ...alert, path: when.path, op: when.op, threshold: when.value, value: shortened(value) }
}

/** Alerts go through a channel, whose messages are bounded. */
const shortened = (value: unknown) => (typeof value === 'string' ? value.slice(0, 500) : value)

/** A rule that was changed fires anew. */
const alertId = (tenant: string, { name, updated_at }: NamedAlertRule, cause: string) =>
  createHash('sha256')
    .update(JSON.stringify([tenant, name, updated_at, cause]))
    .digest('base64url')
    .slice(0, 22)

/** They have one field. */
const sameSubject = (a: AlertSubject, b: AlertSubject) => JSON.stringify(a) === JSON.stringify(b)

function toState(reply: Reply): Record<string, string> {
  const flat = reply as string[]
  return Object.fromEntries(flat.flatMap((name, i) => (i % 2 ? [] : [[name, flat[i + 1]!]])))
}
