import crypto, { createHash, randomBytes } from 'node:crypto'
import { HubError, RedisReplyError } from '../errors.ts'
import { eventKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis, Reply, ScriptCall } from '../ports/redis.ts'
import { ingestScript } from '../scripts.generated.ts'
import { traceparentNow } from '../telemetry/trace-context.ts'
import { type CheckedEvent, checkEvent, type Defaults, invalidEvent, wrapData } from './cloud-event.ts'
import { type CheckData, compileDataSchema } from './data-schema.ts'
import type { HubEvent } from './event.ts'
import { DEFAULT_RETENTION_SECONDS, HUB_GROUP } from './processor.ts'
import { checkStreamName, type StreamSettings, type Streams } from './streams.ts'
import { valueAt } from './value-at.ts'

/** What a sender gives; the hub fills in what is missing. */
export type NewEvent = Partial<HubEvent> & { [extension: string]: unknown }

/** An event, or data alone, beside the JSON that it came as: what need not be written anew keeps every digit of its numbers. */
export type SentEvent = { event: NewEvent; text?: string } | { data: unknown; text: string }

export interface Accepted {
  accepted: number
  /** Seen before, by source and id: not stored again. */
  duplicates: number
  /** In the order that they came in. */
  events: { id: string; result_id: string }[]
}

interface IntakeCall {
  defer: (work: Promise<unknown>) => void
  /** Names events that have no id: repeated with the same key they are duplicates. */
  idempotencyKey?: string
  /** Number of the first one, in ids made from the key. Default 0. */
  first?: number
  /** What an error calls the event of that place. */
  nameOf?(i: number): string
  /** For so long at least a repeated event is a duplicate, whatever the stream's settings say. */
  dedupeSeconds?: number
}

export interface Intake {
  /**
   * Stores all of them or none: one wave. Resolves once Redis has them, and wakes who works on the stream.
   *
   * All or none: they are checked before the first one is stored, and refused as a whole. Above 1,000 events or 1 MiB they go as
   * several scripts of one wave, so that none holds up Redis: where Redis or the connection dies between two of them, some are stored
   * and the caller gets a 503. Repeated with the same ids, the rest is stored and nothing twice.
   *
   * Errors: 400 `invalid_event`, 422 `schema_violation` with the path in `param`, 413, 429 `stream_full` with `Retry-After`, 503.
   */
  accept(
    tenant: string,
    stream: string,
    events: readonly NewEvent[],
    defer: (work: Promise<unknown>) => void,
  ): Promise<Accepted>
  /** The same for plain data, and with more to say. */
  acceptMixed(
    tenant: string,
    stream: string,
    items: readonly SentEvent[],
    call: IntakeCall,
  ): Promise<Accepted>
}

export interface IntakeOptions {
  redis: Redis
  streams: Pick<Streams, 'settings'>
  /** There is something new in a stream that has a handler. */
  onAccepted(tenant: string, stream: string, defer: (work: Promise<unknown>) => void): void
  /** The same, handler or not: for who else looks at streams. */
  onStored?: IntakeOptions['onAccepted']
  clock: Clock
}

const DEFAULT_MAX_LAG = 100_000
const DEFAULT_DEDUPE_SECONDS = 86_400

/** More would hold up Redis for more than about 5 ms. */
const CALL_EVENTS = 1_000
const CALL_CHARACTERS = 1_048_576

/** Intake waits longer than other hot paths: a timed-out write is one that the sender must repeat. */
const TIMEOUT_MS = 2_000
const TIMEOUT_PER_CALL_MS = 100

export function createIntake({ redis, streams, onAccepted, onStored, clock }: IntakeOptions): Intake {
  const compiled = new WeakMap<object, CheckData>()

  async function acceptMixed(
    tenant: string,
    stream: string,
    items: readonly SentEvent[],
    { defer, idempotencyKey, first = 0, nameOf = (i) => `events[${i}]`, dedupeSeconds = 0 }: IntakeCall,
  ): Promise<Accepted> {
    checkStreamName(stream)
    const known = await streams.settings(tenant, stream)
    const dedupe_seconds = Math.max(known.dedupe_seconds ?? DEFAULT_DEDUPE_SECONDS, dedupeSeconds)
    const settings = { ...known, dedupe_seconds }
    const check = checkOf(settings)
    const defaults = {
      source: `/v1/events/${stream}`,
      type: 'event',
      time: new Date(clock.now()).toISOString(),
    }
    const run = idempotencyKey === undefined ? `${base64url(randomBytes(16))}-` : `${digest(idempotencyKey)}-`
    const current = traceparentNow()
    const ready = items.map((item, i) => {
      const param = nameOf(i)
      const filled: Defaults = { id: run + (first + i), ...defaults }
      const one =
        'event' in item
          ? toReady(stream, settings, check, item, filled, idempotencyKey !== undefined, param)
          : toReadyData(stream, settings, check, item, filled, idempotencyKey !== undefined, param)
      // Whoever works on it goes on with this trace.
      if (current) one.traceparent = ('event' in item && ownTraceparent(item.event)) || current
      return one
    })
    const duplicates = ready.length > 0 ? await store(tenant, stream, settings, ready) : 0
    if (settings.handler && duplicates < ready.length) onAccepted(tenant, stream, defer)
    if (duplicates < ready.length) onStored?.(tenant, stream, defer)
    return {
      accepted: ready.length - duplicates,
      duplicates,
      events: ready.map(({ event, resultId }) => ({ id: event.id, result_id: resultId })),
    }
  }

  function checkOf({ schema }: StreamSettings): CheckData | undefined {
    if (!schema) return undefined
    const check = compiled.get(schema) ?? compileDataSchema(schema)
    compiled.set(schema, check)
    return check
  }

  /** How many of them were there already. */
  async function store(tenant: string, stream: string, settings: StreamSettings, ready: readonly Ready[]) {
    const { max_lag: most = DEFAULT_MAX_LAG } = settings
    if (ready.length > most) throw tooMany(stream, ready.length, most)
    const calls = toCalls(tenant, stream, settings, ready)
    const options = { timeoutMs: TIMEOUT_MS + calls.length * TIMEOUT_PER_CALL_MS }
    let replies = readReplies(await redis.wave(calls, options))
    // Where Redis did not know the script, the first call is made after the others, and lets them in only now.
    const late = replies.flatMap((reply, i) => (reply[0] === LATE ? [i] : []))
    if (late.length > 0 && replies[0]![0] === STORED) {
      const again = readReplies(
        await redis.wave(
          late.map((i) => calls[i]!),
          options,
        ),
      )
      replies = replies.map((reply, i) => (late.includes(i) ? again[late.indexOf(i)]! : reply))
    }
    const refused = replies.find(([outcome]) => outcome === FULL)
    if (refused) throw full(stream, refused[1]!, most)
    if (replies.some(([outcome]) => outcome !== STORED))
      throw new Error(`A batch for ${stream} was let in and is not known`)
    return replies.reduce((all, reply) => all + reply.length - 1, 0)
  }

  return {
    accept: (tenant, stream, events, defer) =>
      acceptMixed(
        tenant,
        stream,
        events.map((event) => ({ event })),
        { defer },
      ),
    acceptMixed,
  }
}

interface Ready {
  event: CheckedEvent
  resultId: string
  key: string | undefined
  traceparent?: string
}

const STORED = 1
const FULL = 0
const LATE = -1

/** An event that has attributes. */
function toReady(
  stream: string,
  settings: StreamSettings,
  check: CheckData | undefined,
  { event, text }: { event: NewEvent; text?: string },
  defaults: Defaults,
  isRepeatable: boolean,
  param: string,
): Ready {
  const checked = checkEvent(event, defaults, param, text)
  if (check) refuseViolation(check, event.data, `${param}.data`)
  checked.named ||= isRepeatable
  return withKey(stream, checked, settings.key === undefined ? undefined : valueAt(event, settings.key))
}

function toReadyData(
  stream: string,
  settings: StreamSettings,
  check: CheckData | undefined,
  { data, text }: { data: unknown; text: string },
  defaults: Defaults,
  isRepeatable: boolean,
  param: string,
): Ready {
  if (check) refuseViolation(check, data, param)
  const own = settings.id === undefined ? undefined : valueAt(data, settings.id)
  if (own !== undefined && own !== null) {
    const id = String(own)
    if (typeof own === 'object' || id === '' || id.length > 512) {
      throw invalidEvent(
        `${param}.${settings.id}`,
        'must be a text or a number: the stream takes the id from it',
      )
    }
    defaults = { ...defaults, id }
  }
  const event = wrapData(text, defaults, isRepeatable || (own ?? undefined) !== undefined, param)
  if (settings.key === undefined) return withKey(stream, event, undefined)
  return withKey(stream, event, valueAt({ ...defaults, data }, settings.key))
}

function withKey(stream: string, event: CheckedEvent, key: unknown): Ready {
  const isKey = typeof key === 'string' || typeof key === 'number' || typeof key === 'boolean'
  return { event, resultId: resultIdOf(stream, event), key: isKey ? String(key) : undefined }
}

function refuseViolation(check: CheckData, data: unknown, param: string) {
  const violation = check(data ?? null)
  if (!violation) return
  const path = param + violation.path
  const message = `${path}: ${violation.message}`
  throw new HubError({ code: 'schema_violation', status: 422, message, param: path })
}

/** As few script calls as hold Redis up for a few milliseconds each. */
function toCalls(
  tenant: string,
  stream: string,
  settings: StreamSettings,
  ready: readonly Ready[],
): ScriptCall[] {
  const { events, seen } = eventKeys(tenant, stream)
  const parts: Ready[][] = [[]]
  let characters = 0
  for (const one of ready) {
    const part = parts.at(-1)!
    characters += one.event.json.length
    if (part.length === CALL_EVENTS || (part.length > 0 && characters > CALL_CHARACTERS)) {
      parts.push([one])
      characters = one.event.json.length
    } else part.push(one)
  }
  const retention = settings.retention_seconds ?? DEFAULT_RETENTION_SECONDS
  const kept = settings.handler ? 0 : Math.max(1, retention * 1_000)
  const batch = parts.length > 1 ? `@${base64url(randomBytes(16))}` : ''
  return parts.map((part, i) => {
    let flags = ''
    const args: (string | number)[] = [
      settings.max_lag ?? DEFAULT_MAX_LAG,
      settings.dedupe_seconds! * 1_000,
      ...[HUB_GROUP, kept, ready.length, batch, i === 0 ? '1' : '0', ''],
    ]
    for (const { event, resultId, key, traceparent } of part) {
      flags += (event.named ? 1 : 0) + (key === undefined ? 0 : 2) + (traceparent === undefined ? 0 : 4)
      args.push(resultId, event.json)
      if (key !== undefined) args.push(key)
      if (traceparent !== undefined) args.push(traceparent)
    }
    args[7] = flags
    return { script: ingestScript, keys: [events, seen], args }
  })
}

/** By CloudEvents' distributed tracing extension. */
function ownTraceparent({ traceparent }: NewEvent): string | undefined {
  return typeof traceparent === 'string' && /^00-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/.test(traceparent)
    ? traceparent
    : undefined
}

function readReplies(replies: readonly Reply[]): number[][] {
  for (const reply of replies) {
    if (reply instanceof RedisReplyError && reply.code === 'OOM') {
      const message = 'Redis is full: it takes in nothing more until somebody makes room.'
      throw new HubError({ code: 'redis_full', status: 503, message, retryAfterSeconds: 5, cause: reply })
    }
    if (reply instanceof Error) throw reply
  }
  return replies as number[][]
}

/** The same for the same event of the stream, in every tenant: results lie under their tenant. */
const resultIdOf = (stream: string, { id, source }: CheckedEvent) => digest(`${stream}\n${source}\n${id}`)

/** 132 bits. In one call where the runtime has it: a fourth of the time, and it was a fifth of a batch's. */
const digest = (text: string) =>
  (crypto.hash
    ? crypto.hash('sha256', text, 'base64url')
    : createHash('sha256').update(text).digest('base64url')
  ).slice(0, 22)

const base64url = (bytes: Buffer) => bytes.toString('base64url')

const tooMany = (stream: string, count: number, most: number) =>
  new HubError({
    code: 'batch_too_large',
    status: 413,
    message: `${count} events at once, and the stream \`${stream}\` lets ${most} wait. Send fewer, or raise its \`max_lag\`.`,
  })

const full = (stream: string, waiting: number, most: number) =>
  new HubError({
    code: 'stream_full',
    status: 429,
    message: `${waiting} events of the stream \`${stream}\` wait to be worked on, and ${most} may: none of these was stored. Send them again later; GET /v1/events/${stream}/stats says in which group they wait.`,
    retryAfterSeconds: 2,
  })
