import { HubError } from '../errors.ts'
import { channelKeys, eventKeys, NAME, resultsChannel } from '../keys.ts'
import type { RealtimeMessage } from './realtime.ts'

/** Where the messages of a channel come from. */
export interface ChannelSource {
  /** Pub/sub channel: something is there. */
  channel: string
  /** The stream that holds them. Without it messages live on the pub/sub channel alone, and are not kept. */
  stream?: string
  /** Whether it can be told who is there. */
  hasPresence: boolean
  read(id: string, fields: Record<string, string>): RealtimeMessage
}

/** Parts of a name, between colons: `agent:tasks`. */
const CHANNEL = /^(?=.{1,128}$)[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)*$/

/**
 * `events:<stream>` is a stream of events, `results:<stream>` tells of results; every other channel has a stream of its own,
 * `stream:<channel>`. Throws 400.
 */
export function channelSource(tenant: string, channel: string): ChannelSource {
  checkChannel(channel)
  const [, kind, name = ''] = /^(events|results):(.+)$/.exec(channel) ?? []
  if (kind && !NAME.test(name)) throw badChannel(`\`${name}\` is no name of a stream`)
  if (kind === 'events') {
    const { events } = eventKeys(tenant, name)
    return { channel: events, stream: events, hasPresence: false, read: readEvent }
  }
  if (kind === 'results') {
    return { channel: resultsChannel(tenant, name), hasPresence: false, read: readMessage }
  }
  const { stream, channel: wakeUp } = channelKeys(tenant, channel)
  return { channel: wakeUp, stream, hasPresence: true, read: readMessage }
}

/** Throws 400 for a channel that holds no messages of its own, but tells of something else. */
export function checkOfMessages(channel: string): void {
  checkChannel(channel)
  if (channel.startsWith('events:')) {
    throw badChannel('this one only follows events, which are sent to POST /v1/events/{stream}')
  }
  if (channel.startsWith('results:')) throw badChannel('this one only tells of results of events')
}

/** Throws 400 for a channel that only the hub writes. */
export function checkWritable(channel: string): void {
  checkOfMessages(channel)
  if (channel === 'agent:tasks') {
    throw badChannel('the hub itself tells of tasks here, which are sent to POST /v1/tasks')
  }
  if (channel.startsWith('preferences:')) {
    throw badChannel(
      'the hub itself tells of preferences here, which are set by PATCH /v1/preferences/{user}',
    )
  }
  if (/^agent:(?:[^:]+:)?events$/.test(channel)) {
    throw badChannel(
      'the hub itself tells of agents here. Publish on `agent:logs` or on a channel of your own; tasks are sent to POST /v1/tasks',
    )
  }
}

function checkChannel(channel: string): void {
  // `t:` begins what belongs to other tenants.
  if (CHANNEL.test(channel) && !channel.startsWith('t:')) return
  throw badChannel('use A-Z a-z 0-9 _ . - and single colons between, 128 at most, and not `t:` first')
}

function readMessage(id: string, fields: Record<string, string>): RealtimeMessage {
  const { data = JSON.stringify(fields), type } = fields
  return { id, data, ...(type && { type }) }
}

const readEvent = (id: string, fields: Record<string, string>): RealtimeMessage => ({
  id,
  data: fields.event ?? JSON.stringify(fields),
})

const badChannel = (why: string) =>
  new HubError({ code: 'invalid_channel', status: 400, message: `channel: ${why}.`, param: 'channel' })
