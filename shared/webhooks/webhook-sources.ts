import { HubError } from '../errors.ts'
import { NAME, webhookSourcesKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { createRecall } from '../recall.ts'
import { replaceFieldScript } from '../scripts.generated.ts'
import { noSecretKey, type Secrets } from '../secrets.ts'
import { send } from '../send.ts'
import { schemes, type WebhookScheme } from './schemes.ts'

/** Where its events go. */
export type WebhookTarget = { stream: string } | { agent: string }

export interface NewWebhookSource {
  scheme: WebhookScheme
  /** Absent: it stays. Another one: the one before is taken as well for `grace_seconds`. */
  secret?: string
  /** Default a day from when the secret changes. 0: the one before is refused at once. */
  grace_seconds?: number
  target: WebhookTarget
}

/** Without its secrets. */
export interface WebhookSource {
  source: string
  scheme: WebhookScheme
  target: WebhookTarget
  /** Where the sender calls. */
  path: string
  /** RFC 3339; until then the secret before is taken as well. */
  previous_secret_until: string | null
  created_at: string
  updated_at: string
}

/** As it is stored: the newer secret first; the older one until then (Unix ms). */
interface Stored extends Omit<WebhookSource, 'source' | 'path' | 'previous_secret_until'> {
  secrets: { sealed: string; until?: number }[]
}

/** With what it takes to verify a message. */
interface OpenSource {
  scheme: WebhookScheme
  target: WebhookTarget
  secrets: { text: string; until?: number }[]
}

const GRACE_SECONDS = 86_400
const SLOW = { timeoutMs: 2_000 }

export interface WebhookSourcesOptions {
  redis: Redis
  /** Without them nobody can store a source. */
  secrets?: Secrets
  clock: Clock
}

/** Who may send webhooks to a tenant, how they are verified and where they go. Secrets are sealed. */
export function createWebhookSources({ redis, secrets, clock }: WebhookSourcesOptions) {
  const opened = createRecall<OpenSource | undefined>({ freshMs: 1_000, staleMs: 1_000, maxSize: 10_000 })

  async function find(tenant: string, source: string): Promise<string | null> {
    return (await send(redis, ['HGET', webhookSourcesKey(tenant), source], SLOW)) as string | null
  }

  return {
    /** Throws 400 for a secret that is not the scheme's, 404 without one for a new source, 501 without HUB_SECRET_KEY. */
    async put(tenant: string, source: string, given: NewWebhookSource): Promise<WebhookSource> {
      if (!secrets) throw noSecretKey('webhook secrets')
      const { scheme, secret, grace_seconds, target } = given
      if (secret !== undefined) schemes[scheme].keyOf(secret)
      const context = contextOf(tenant, source)
      for (;;) {
        const text = await find(tenant, source)
        const before: Stored | undefined = text === null ? undefined : JSON.parse(text)
        if (secret === undefined && (!before || before.scheme !== scheme)) throw secretMissing()
        const now = clock.now()
        const old = before?.scheme === scheme ? before.secrets : []
        const isNew = secret !== undefined && !(old[0] && opens(old[0].sealed, context) === secret)
        const previous = isNew ? old[0] : old[1]
        const newest = isNew ? { sealed: secrets.seal(secret, context) } : old[0]!
        const graceMs = (grace_seconds ?? (isNew ? GRACE_SECONDS : Number.POSITIVE_INFINITY)) * 1000
        const until = Math.min(previous?.until ?? Number.POSITIVE_INFINITY, now + graceMs)
        const kept = previous && until > now ? [newest, { sealed: previous.sealed, until }] : [newest]
        const at = new Date(now).toISOString()
        const stored: Stored = {
          ...{ scheme, target, secrets: kept },
          ...{ created_at: before?.created_at ?? at, updated_at: at },
        }
        // Two that rotate at the same time must not lose one of their secrets.
        const args = [source, text ?? '', JSON.stringify(stored)]
        const call = { script: replaceFieldScript, keys: [webhookSourcesKey(tenant)], args }
        if ((await send(redis, call, SLOW)) === 0) continue
        opened.forget(recallName(tenant, source))
        return shown(tenant, source, stored, now)
      }
    },

    async get(tenant: string, source: string): Promise<WebhookSource> {
      const text = await find(tenant, source)
      if (text === null) throw unknownSource()
      return shown(tenant, source, JSON.parse(text), clock.now())
    },

    async list(tenant: string): Promise<WebhookSource[]> {
      const flat = (await send(redis, ['HGETALL', webhookSourcesKey(tenant)], SLOW)) as string[]
      const names = flat.flatMap((name, i) => (i % 2 ? [] : [[name, flat[i + 1]!] as const]))
      const now = clock.now()
      return names
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, text]) => shown(tenant, name, JSON.parse(text), now))
    },

    /** Throws 404. */
    async delete(tenant: string, source: string): Promise<void> {
      const count = await send(redis, ['HDEL', webhookSourcesKey(tenant), source], SLOW)
      opened.forget(recallName(tenant, source))
      if (count === 0) throw unknownSource()
    },

    /** To verify with: what is written elsewhere holds here within a second. Throws the same 404 whatever is missing. */
    async open(
      tenant: string,
      source: string,
    ): Promise<{ scheme: WebhookScheme; target: WebhookTarget; secrets: string[] }> {
      if (!NAME.test(tenant) || !NAME.test(source)) throw unknownSource()
      const found = await opened.get(recallName(tenant, source), async () => {
        const text = await find(tenant, source)
        return text === null ? undefined : openAll(JSON.parse(text), contextOf(tenant, source))
      })
      if (!found) throw unknownSource()
      const { scheme, target } = found
      const now = clock.now()
      const valid = found.secrets.filter(({ until }) => until === undefined || until > now)
      return { scheme, target, secrets: valid.map(({ text }) => text) }
    },
  }

  function openAll({ scheme, target, secrets: sealed }: Stored, context: string): OpenSource {
    const texts = sealed.flatMap(({ sealed, until }) => {
      const text = opens(sealed, context)
      return text === undefined ? [] : [{ text, until }]
    })
    if (texts.length === 0) throw cannotOpen()
    return { scheme, target, secrets: texts }
  }

  /** Undefined where HUB_SECRET_KEY is not the one that it was sealed with. */
  function opens(sealed: string, context: string): string | undefined {
    try {
      return secrets?.open(sealed, context)
    } catch {
      return undefined
    }
  }
}

export type WebhookSources = ReturnType<typeof createWebhookSources>

/** No name contains a slash, and each recall name ends with one: none begins like another. */
const recallName = (tenant: string, source: string) => `${tenant}/${source}/`

const contextOf = (tenant: string, source: string) => `webhook/${tenant}/${source}`

function shown(tenant: string, source: string, stored: Stored, now: number): WebhookSource {
  const { scheme, target, secrets, created_at, updated_at } = stored
  const until = secrets[1]?.until ?? 0
  return {
    ...{ source, scheme, target },
    path: `/v1/webhooks/${source}?tenant=${tenant}`,
    previous_secret_until: until > now ? new Date(until).toISOString() : null,
    ...{ created_at, updated_at },
  }
}

const unknownSource = () =>
  new HubError({ code: 'webhook_not_found', status: 404, message: 'There is no such webhook source.' })

const secretMissing = () =>
  new HubError({
    code: 'invalid_value',
    status: 400,
    message: 'secret: a new source, or one of another scheme, needs the secret that its sender signs with.',
    param: 'secret',
  })

const cannotOpen = () =>
  new HubError({
    code: 'secret_key_changed',
    status: 500,
    message: 'The secrets of this source cannot be opened.',
    cause: 'HUB_SECRET_KEY is not the one that sealed them. Set it back, or PUT the source again.',
  })
