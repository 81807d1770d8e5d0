import { LRUCache } from 'lru-cache'
import { HubError } from '../errors.ts'
import { HANDLED_STREAMS_KEY, NAME, streamSettingsKey } from '../keys.ts'
import type { Command, Redis, Reply } from '../ports/redis.ts'
import { createRecall } from '../recall.ts'
import { compileDataSchema } from './data-schema.ts'
import { createHandlerSecrets, type HandlerSecrets } from './handler-secrets.ts'
import type { EventHandlers } from './handlers.ts'

/** What `PUT /v1/events/{stream}` takes: how a stream is kept and who works on it. */
export interface StreamSettings {
  /** Who works on it; without one events are only kept for those who read them. */
  handler?: HandlerSettings
  /** Dotted path into the event (`subject`, `data.customer.id`) whose value keeps order. */
  key?: string
  /** JSON Schema of `data`. */
  schema?: object
  /** Dotted path into plain data (`order.id`) whose value is its event's id: for senders that name none and may send twice. */
  id?: string
  /** Events that may wait, before intake answers 429. Default 100,000. */
  max_lag?: number
  /** How long events stay readable after they were worked on, seconds. Default 86,400; without a handler, since they came. */
  retention_seconds?: number
  /** How long results stay. Default 86,400. */
  result_ttl_seconds?: number
  /** For how long an event with the same source and id is a duplicate. Default 86,400. */
  dedupe_seconds?: number
  retry?: { attempts?: number; first_seconds?: number; longest_seconds?: number }
}

/** Names one of the table in `handlers.ts`; the other fields are that handler's own. */
export interface HandlerSettings {
  type: string
  [field: string]: unknown
}

/** A tenant's streams. A stream without settings is one with the defaults: events may be sent to any name. */
export interface Streams {
  /** Remembered for a second. */
  settings(tenant: string, stream: string): Promise<StreamSettings>
  /**
   * Secrets of its handler are sealed; those that are left out stay. 400 where there is no such handler, or where it or the schema does
   * not take its settings, 501 for secrets without HUB_SECRET_KEY.
   */
  put(tenant: string, stream: string, settings: StreamSettings): Promise<void>
  /** Events, dead letters and results stay as long as they would. */
  delete(tenant: string, stream: string): Promise<void>
  list(tenant: string): Promise<Record<string, StreamSettings>>
  /** Streams of all tenants that have a handler: what a runner works on. */
  handled(): Promise<{ tenant: string; stream: string }[]>
}

/** How long another instance may see what was; what was read of Redis while it is away is of no use. */
const REMEMBERED = { freshMs: 1_000, staleMs: 1_000, maxSize: 10_000 }
/** Administration may wait longer than a hot path. */
const SLOW = { timeoutMs: 2_000 }

export interface StreamsOptions {
  redis: Redis
  handlers: EventHandlers
  /** By default it keeps no secrets. */
  handlerSecrets?: HandlerSecrets
}

export function createStreams({
  redis,
  handlers,
  handlerSecrets = createHandlerSecrets({ handlers }),
}: StreamsOptions): Streams {
  const remembered = createRecall<StreamSettings>(REMEMBERED)
  /** By their text: so a schema that did not change is compiled once. */
  const parsed = new LRUCache<string, StreamSettings>({ max: 1_000 })

  function parse(text: string | null): StreamSettings {
    if (text === null) return NONE
    const settings = parsed.get(text) ?? (JSON.parse(text) as StreamSettings)
    parsed.set(text, settings)
    return settings
  }

  async function ask(calls: Command[], options = SLOW): Promise<Reply[]> {
    const replies = await redis.wave(calls, options)
    for (const reply of replies) if (reply instanceof Error) throw reply
    return replies
  }

  /** Who works on it is said after the settings: a death in between leaves work undone until they are put again, as the error says. */
  async function write(tenant: string, stream: string, settings: StreamSettings | undefined) {
    checkStreamName(stream)
    const key = streamSettingsKey(tenant)
    const member = `${tenant}/${stream}`
    const set: Command = settings ? ['HSET', key, stream, JSON.stringify(settings)] : ['HDEL', key, stream]
    remembered.forget(member)
    if (settings?.handler) await ask([set, ['SADD', HANDLED_STREAMS_KEY, member]])
    else {
      const [, , now] = await ask([set, ['SREM', HANDLED_STREAMS_KEY, member], ['HGET', key, stream]])
      // Somebody else has given it a handler meanwhile.
      if (parse(now as string | null).handler) await ask([['SADD', HANDLED_STREAMS_KEY, member]])
    }
    remembered.forget(member)
  }

  function checkHandler({ type, ...own }: HandlerSettings) {
    const handler = Object.hasOwn(handlers, type) ? handlers[type] : undefined
    if (!handler) {
      const there = Object.keys(handlers).join(', ')
      throw invalid('handler.type', `there is no handler \`${type}\`. There are: ${there || 'none'}`)
    }
    const { error } = handler.settings.safeParse(own)
    const issue = error?.issues[0]
    if (issue) throw invalid(['handler', ...issue.path].join('.'), issue.message)
  }

  return {
    settings: (tenant, stream) =>
      remembered.get(`${tenant}/${stream}`, async () => {
        const [text] = await ask([['HGET', streamSettingsKey(tenant), stream]], { timeoutMs: 1_000 })
        return parse(text as string | null)
      }),
    async put(tenant, stream, settings) {
      if (settings.handler) checkHandler(settings.handler)
      if (settings.schema) compileDataSchema(settings.schema)
      if (!settings.handler) return write(tenant, stream, settings)
      const [before] = await ask([['HGET', streamSettingsKey(tenant), stream]])
      const sealed = handlerSecrets.seal(tenant, settings.handler, parse(before as string | null).handler)
      await write(tenant, stream, { ...settings, handler: sealed })
    },
    delete: (tenant, stream) => write(tenant, stream, undefined),
    async list(tenant) {
      const [flat] = (await ask([['HGETALL', streamSettingsKey(tenant)]])) as [string[]]
      const pairs = flat.flatMap((name, i) => (i % 2 ? [] : [[name, parse(flat[i + 1]!)] as const]))
      return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)))
    },
    async handled() {
      const [members] = (await ask([['SMEMBERS', HANDLED_STREAMS_KEY]])) as [string[]]
      return members.map((member) => {
        const [tenant = '', stream = ''] = member.split('/')
        return { tenant, stream }
      })
    },
  }
}

const NONE: StreamSettings = {}

/** Throws 400. */
export function checkStreamName(stream: string): void {
  if (!NAME.test(stream)) throw invalid('stream', 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
}

const invalid = (param: string, what: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${what}.`, param })
