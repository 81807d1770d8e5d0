import { type Context, Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import type { Caller } from '../shared/admission.ts'
import { HubError, RedisUnavailableError } from '../shared/errors.ts'
import {
  CHANNEL_PATTERN,
  type ChannelGrant,
  checkChannelAccess,
  checkGrant,
} from '../shared/realtime/channel-access.ts'
import { channelSource, checkOfMessages, checkWritable } from '../shared/realtime/channels.ts'
import { PRESENT_NAME } from '../shared/realtime/presence.ts'
import { MESSAGE_TYPE } from '../shared/realtime/realtime.ts'
import { createRecall } from '../shared/recall.ts'
import { claimOf } from './credential.ts'
import type { App, Deps } from './deps.ts'
import { admitted, IDEMPOTENCY_KEY, json, query, replies } from './http.ts'
import { sendEvents, startOf } from './realtime-events.ts'

const As = z.string().regex(PRESENT_NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . @ -')

const Listen = z.object({
  last_event_id: z.string().optional().describe('like the header `Last-Event-ID`, which comes first'),
  since: z.iso.datetime({ offset: true }).optional().describe('from that time on, where there is no last id'),
  as: As.optional().describe('the name under which this connection is present'),
  token: z.string().max(8192).optional().describe('of `POST /v1/realtime-tokens`, instead of a key'),
})
const NewMessage = z.strictObject({
  data: z.json(),
  type: z
    .string()
    .regex(MESSAGE_TYPE, 'must be 1 to 64 of A-Z a-z 0-9 _ . : -')
    .optional()
    .describe('the `event:` that readers get'),
})
const NewToken = z.strictObject({
  channels: z
    .array(z.string().regex(CHANNEL_PATTERN, 'must be a channel, or how it begins and *'))
    .min(1)
    .max(20),
  ttl_seconds: z.int().min(1).max(3600).default(300),
  as: As.optional().describe('the only name under which its bearer may be present'),
})
const Token = z.object({ token: z.string(), expires_at: z.string() })
const PresentReply = z.object({
  data: z.array(z.object({ as: z.string(), connections: z.int(), seen_at: z.string() })),
})

/** Until a connection notices that its key was revoked: this, and the wait of one heartbeat. */
const CHECK_MS = 30_000

type Used = Pick<Deps, 'realtime' | 'readers' | 'presence' | 'channelTokens' | 'admission' | 'clock'>

/** `/v1/realtime/{channel}`: server-sent events over the stream behind a channel. */
export function realtime({ realtime, readers, presence, channelTokens, admission, clock }: Used) {
  const admit = admitted(admission, 'realtime')
  /** Thousands of readers with one key are one question. */
  const callers = createRecall<Caller>({ freshMs: CHECK_MS / 2, staleMs: 5 * 60_000, maxSize: 10_000 })

  async function admitReader(c: Context<App>, channel: string, token: string | undefined, as?: string) {
    if (token === undefined || c.req.header('authorization') !== undefined) {
      const claim = claimOf(c, admission)
      const { caller, headers } = await admission.admit(claim, 'realtime')
      for (const [name, value] of Object.entries(headers)) c.header(name, value)
      checkChannelAccess(caller, 'read', channel)
      return { tenant: caller.tenant, keyId: caller.keyId }
    }
    // The token alone is what opens the channel, no cookie: any page that was given one may use it.
    c.header('Access-Control-Allow-Origin', '*')
    const grant = channelTokens.read(token)
    checkGrant(grant, channel, as)
    checkChannelAccess(await admission.recall(grant.tenant, grant.keyId, 'realtime'), 'read', channel)
    return grant
  }

  /** Throws when the key was revoked, lost the channel, or the token's time is over. */
  async function check(
    grant: Pick<ChannelGrant, 'tenant' | 'keyId'> & Partial<ChannelGrant>,
    channel: string,
  ) {
    const { tenant, keyId } = grant
    const again = nextCheck(grant)
    if (again <= 0) throw tokenOver()
    const caller = callers.get(`${tenant} ${keyId}`, () => admission.recall(tenant, keyId, 'realtime'))
    try {
      checkChannelAccess(await caller, 'read', channel)
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error // nothing can be read now anyway
    }
    return again
  }

  const nextCheck = ({ expiresAt = Number.POSITIVE_INFINITY }: Partial<ChannelGrant>) =>
    Math.min(CHECK_MS, expiresAt - clock.now())

  return new Hono<App>()
    .post(
      '/v1/realtime-tokens',
      describeRoute({
        summary: 'Make a short-lived token that lets a browser read channels',
        responses: replies(201, 'The token', Token),
      }),
      admit,
      json(NewToken),
      (c) => {
        const { channels, ttl_seconds, as } = c.req.valid('json')
        const { token, expiresAt } = channelTokens.issue(c.var.caller, {
          ...{ channels, as, ttlSeconds: ttl_seconds },
        })
        return c.json({ token, expires_at: new Date(expiresAt).toISOString() }, 201)
      },
    )
    .get(
      '/v1/realtime/:channel',
      describeRoute({
        summary: 'Listen on a channel',
        description:
          'Server-sent events; `events:{stream}` follows a stream of events, `results:{stream}` its results. With `Last-Event-ID` nothing is missed: an event `gap` says where messages are no longer kept.',
        responses: { 200: { description: 'Events', content: { 'text/event-stream': {} } } },
      }),
      query(Listen),
      async (c) => {
        const channel = c.req.param('channel')
        const { token, as, since, last_event_id } = c.req.valid('query')
        if (as !== undefined) checkOfMessages(channel) // where the channel can be told of it
        const grant = await admitReader(c, channel, token, as)
        const after = startOf(c.req.header('last-event-id') || last_event_id, since)
        const reader = await readers.open(grant.tenant, channel, { after, as })
        return sendEvents(c, reader, {
          check: () => check(grant, channel),
          checkAfterMs: nextCheck(grant),
        })
      },
    )
    .post(
      '/v1/realtime/:channel',
      describeRoute({
        summary: 'Publish a message',
        parameters: [IDEMPOTENCY_KEY],
        responses: replies(201, 'Its id', z.object({ id: z.string() })),
      }),
      admit,
      json(NewMessage),
      async (c) => {
        const channel = c.req.param('channel')
        checkWritable(channel)
        checkChannelAccess(c.var.caller, 'write', channel)
        const { tenant, keyId } = c.var.caller
        const idempotencyKey = c.req.header('idempotency-key')
        const once = idempotencyKey === undefined ? undefined : `${keyId ?? ''}/${idempotencyKey}`
        const id = await realtime.publish(tenant, channel, { ...c.req.valid('json'), once })
        return c.json({ id }, 201)
      },
    )
    .get(
      '/v1/realtime/:channel/presence',
      describeRoute({
        summary: 'Who listens under a name',
        responses: replies(200, 'Names', PresentReply),
      }),
      admit,
      async (c) => {
        const channel = c.req.param('channel')
        channelSource(c.var.caller.tenant, channel)
        checkChannelAccess(c.var.caller, 'read', channel)
        const present = await presence.list(c.var.caller.tenant, channel)
        return c.json({
          data: present.map(({ seenAt, ...one }) => ({ ...one, seen_at: new Date(seenAt).toISOString() })),
        })
      },
    )
}

const tokenOver = () =>
  new HubError({
    code: 'token_expired',
    status: 401,
    message: 'The token’s time is over. Come back with another one, and with the last id.',
  })
