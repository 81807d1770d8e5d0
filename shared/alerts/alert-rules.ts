import { HubError } from '../errors.ts'
import { ALERTING_TENANTS_KEY, alertKeys, alertRulesKey, eventKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis, Reply } from '../ports/redis.ts'
import { createRecall } from '../recall.ts'
import { replaceFieldScript } from '../scripts.generated.ts'
import { noSecretKey, type Secrets } from '../secrets.ts'
import { send } from '../send.ts'
import type { Deliveries } from '../webhooks/deliveries.ts'
import { newWebhookSecret, webhookSecretBytes } from '../webhooks/signing.ts'
import type { AlertRule } from './alert-rule.ts'

export interface NewAlertRule extends Pick<AlertRule, 'on' | 'when'> {
  cooldown_seconds?: number
  webhook?: { url: string; secret?: string; allow_private?: boolean }
}

/** Without the secret: it is shown where it was made, once. */
export interface ShownAlertRule extends Omit<AlertRule, 'webhook'> {
  name: string
  webhook?: { url: string; allow_private?: boolean; secret?: string }
}

export type NamedAlertRule = AlertRule & { name: string }

export interface AlertRulesOptions {
  redis: Redis
  /** Without them no rule can have a webhook. */
  secrets?: Secrets
  deliveries: Pick<Deliveries, 'enable'>
  clock: Clock
}

/** Consumer group that looks at events in the name of the rules. */
export const ALERTS_GROUP = 'alerts'

/** Each one is asked about all that comes. */
const MOST_RULES = 100
const COOLDOWN_SECONDS = 60
const SLOW = { timeoutMs: 2_000 }

/** A tenant's alert rules: in Redis, and what this process knows of them. */
export function createAlertRules({ redis, secrets, deliveries, clock }: AlertRulesOptions) {
  const recalled = createRecall<NamedAlertRule[]>({ freshMs: 1_000, staleMs: 60_000, maxSize: 10_000 })

  const rules = {
    /** What other instances write holds here within a second. */
    known: (tenant: string): Promise<NamedAlertRule[]> =>
      recalled.get(`${tenant}/`, () => rules.list(tenant)),

    async list(tenant: string): Promise<NamedAlertRule[]> {
      return toRules(await send(redis, ['HGETALL', alertRulesKey(tenant)], SLOW))
    },

    /** Throws 404. */
    async get(tenant: string, name: string): Promise<NamedAlertRule> {
      const text = await send(redis, ['HGET', alertRulesKey(tenant), name], SLOW)
      if (text === null) throw unknownRule(name)
      return { name, ...JSON.parse(text as string) }
    },

    /** Of all tenants. */
    async all(): Promise<Map<string, NamedAlertRule[]>> {
      const tenants = (await send(redis, ['SMEMBERS', ALERTING_TENANTS_KEY], SLOW)) as string[]
      if (tenants.length === 0) return new Map()
      const replies = await redis.wave(
        tenants.map((tenant): Command => ['HGETALL', alertRulesKey(tenant)]),
        SLOW,
      )
      return new Map(
        tenants.flatMap((tenant, i) => {
          const reply = replies[i]
          if (reply instanceof Error) throw reply
          return [[tenant, toRules(reply!)] as const]
        }),
      )
    },

    /** What the rule knew is forgotten where it changed. Throws 400, 422 with too many, 501 for a webhook without HUB_SECRET_KEY. */
    async put(tenant: string, name: string, given: NewAlertRule): Promise<ShownAlertRule> {
      const { on, when, webhook, cooldown_seconds = defaultCooldown(given) } = given
      const key = alertRulesKey(tenant)
      // Before the rule: from here on its group keeps what it has not seen. And never what came before the first rule.
      if ('stream' in on) await startGroup(tenant, on.stream)
      await send(redis, ['SADD', ALERTING_TENANTS_KEY, tenant], SLOW)
      for (;;) {
        const [text, count] = (await redis.wave(
          [
            ['HGET', key, name],
            ['HLEN', key],
          ],
          SLOW,
        )) as [string | null, number]
        if (text === null && count >= MOST_RULES) throw tooMany()
        const before: AlertRule | undefined = text === null ? undefined : JSON.parse(text)
        const at = new Date(clock.now()).toISOString()
        const { made, stored } = webhook ? withSecret(tenant, name, webhook, before) : {}
        const rule: AlertRule = {
          ...{ on, when, cooldown_seconds },
          ...(stored && { webhook: stored }),
          ...{ created_at: before?.created_at ?? at, updated_at: at },
        }
        const isSame = before && sameTask(before, rule)
        if (isSame) rule.updated_at = before.updated_at
        const args = [name, text ?? '', JSON.stringify(rule)]
        const replaced = await send(redis, { script: replaceFieldScript, keys: [key], args }, SLOW)
        if (replaced === 0) continue
        recalled.forget(`${tenant}/`)
        if (!isSame) await forget(tenant, name)
        if (before) await endGroup(tenant, before)
        if (webhook) await deliveries.enable(tenant, webhook.url)
        return shownRule({ name, ...rule }, made)
      }
    },

    /** Throws 404. */
    async delete(tenant: string, name: string): Promise<void> {
      const rule = await rules.get(tenant, name)
      await send(redis, ['HDEL', alertRulesKey(tenant), name], SLOW)
      recalled.forget(`${tenant}/`)
      await forget(tenant, name)
      await endGroup(tenant, rule)
    },

    /** The secret that its webhook is signed with. */
    secretOf: (tenant: string, { name, webhook }: NamedAlertRule): string | undefined =>
      webhook && secrets?.open(webhook.sealed, contextOf(tenant, name)),
  }
  return rules

  function withSecret(
    tenant: string,
    name: string,
    { url, secret, allow_private }: NonNullable<NewAlertRule['webhook']>,
    before: AlertRule | undefined,
  ) {
    if (!secrets) throw noSecretKey('webhook secrets')
    if (secret !== undefined) webhookSecretBytes(secret, 'webhook.secret')
    const shown = { url, ...(allow_private && { allow_private }) }
    const kept = before?.webhook?.url === url ? before.webhook.sealed : undefined
    if (secret === undefined && kept) return { stored: { ...shown, sealed: kept } }
    const text = secret ?? newWebhookSecret()
    const made = secret === undefined ? text : undefined
    return { made, stored: { ...shown, sealed: secrets.seal(text, contextOf(tenant, name)) } }
  }

  async function startGroup(tenant: string, stream: string) {
    const create: Command = [
      'XGROUP',
      'CREATE',
      eventKeys(tenant, stream).events,
      ALERTS_GROUP,
      '$',
      'MKSTREAM',
    ]
    const [reply] = await redis.wave([create], SLOW)
    if (reply instanceof Error && (reply as Error & { code: string }).code !== 'BUSYGROUP') throw reply
  }

  /** A group that nobody reads for would keep all that comes. */
  async function endGroup(tenant: string, { on }: AlertRule) {
    if (!('stream' in on)) return
    const others = await rules.list(tenant)
    if (others.some((rule) => 'stream' in rule.on && rule.on.stream === on.stream)) return
    await redis.wave([['XGROUP', 'DESTROY', eventKeys(tenant, on.stream).events, ALERTS_GROUP]], SLOW)
  }

  async function forget(tenant: string, name: string) {
    const { state, recent } = alertKeys(tenant, name)
    await send(redis, ['DEL', state, recent], SLOW)
  }
}

export type AlertRules = ReturnType<typeof createAlertRules>

export function shownRule({ webhook, ...rule }: NamedAlertRule, secret?: string): ShownAlertRule {
  if (!webhook) return rule
  const { sealed: _, ...shown } = webhook
  return { ...rule, webhook: { ...shown, ...(secret !== undefined && { secret }) } }
}

/** While a rate stays high it is said once a window. */
const defaultCooldown = ({ when }: NewAlertRule) =>
  when.type === 'rate' ? Math.max(when.window_seconds, COOLDOWN_SECONDS) : COOLDOWN_SECONDS

const sameTask = (a: AlertRule, b: AlertRule) =>
  JSON.stringify([a.on, a.when, a.cooldown_seconds]) === JSON.stringify([b.on, b.when, b.cooldown_seconds])

const contextOf = (tenant: string, name: string) => `alert/${tenant}/${name}`

function toRules(reply: Reply): NamedAlertRule[] {
  const flat = reply as string[]
  return flat
    .flatMap((name, i) => (i % 2 ? [] : [{ name, ...(JSON.parse(flat[i + 1]!) as AlertRule) }]))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

const unknownRule = (name: string) =>
  new HubError({ code: 'alert_not_found', status: 404, message: `There is no alert ${name}.`, param: 'name' })

const tooMany = () =>
  new HubError({
    code: 'too_many_alerts',
    status: 422,
    message: `A tenant has at most ${MOST_RULES} alert rules. Delete one first.`,
  })
