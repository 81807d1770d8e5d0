import type { Clock } from '../../ports/clock.ts'
import { checkChannelAccess } from '../../realtime/channel-access.ts'
import { checkWritable } from '../../realtime/channels.ts'
import type { Waiting } from '../agent.ts'
import { type BuiltIns, name, objectOf, text } from './built-in.ts'
import type { Effect, ToolOutcome } from './tool.ts'
import { type Args, failed } from './tool-action.ts'

const YEAR_SECONDS = 31_536_000
/** Of what one effect says, as JSON: channels take no more than 64 KiB with what is around it. */
const MOST_BYTES = 60_000

const ANY = 'Text, or JSON.'
const timeout = {
  type: 'number',
  minimum: 1,
  maximum: YEAR_SECONDS,
  description: 'Go on without it after so long.',
}

/** Tools that only say what is to happen: it is committed with the step. */
export function effectTools({ clock }: { clock: Clock }) {
  return {
    send_message: {
      description:
        'Send a message to another agent (`to`) or publish it to a channel (`channel`). It is sent when this step is over.',
      parameters: ({ agents, channels }) =>
        objectOf(
          {
            to: name('Id of the agent.', agents),
            channel: channels ? { enum: channels } : text('Name of the channel.', 128),
            message: { description: ANY },
          },
          ['message'],
        ),
      async invoke({ to, channel, message }, _, { caller }) {
        if ((to === undefined) === (channel === undefined))
          return failed('Not sent: name one of `to` and `channel`.')
        if (to !== undefined) return effect({ kind: 'message', to, data: message }, `Sent to ${to}.`)
        checkWritable(channel)
        checkChannelAccess(caller, 'write', channel)
        return effect({ kind: 'publish', channel, data: message }, `Published to ${channel}.`)
      },
    },

    assign_task: {
      description:
        'Give a task away: to one agent (`to`), or to any that is free and takes its `topic`. Its result comes as a message; `wait` with `for: "tasks"` waits for all of them.',
      parameters: ({ agents }) =>
        objectOf(
          {
            input: { description: `What is to be done. ${ANY}` },
            to: name('Id of the agent.', agents),
            topic: name('Kind of task.'),
          },
          agents ? ['input', 'to'] : ['input'],
        ),
      invoke: async ({ input, to, topic }) =>
        effect(
          { kind: 'task', input, ...(to && { to }), ...(topic && { topic }) },
          'The task is given away.',
        ),
    },

    log: {
      description: 'Write a line to the log that people watch.',
      parameters: () =>
        objectOf(
          {
            message: text('What to say.'),
            level: { enum: ['debug', 'info', 'warn', 'error'], description: '`info` by default.' },
            data: { description: 'More about it, as JSON.' },
          },
          ['message'],
        ),
      async invoke({ message, level = 'info', data }, _, { agent, step }) {
        const line = { agent, step, level, message, ...(data !== undefined && { data }) }
        return effect({ kind: 'publish', channel: 'agent:logs', type: 'log', data: line }, 'Logged.')
      },
    },

    wait: {
      description:
        'Stop until a time (`seconds` or `until`), until an event or message comes (`event` names its type, `for: "message"` means any), or until all tasks that you gave away have reported (`for: "tasks"`).',
      parameters: () =>
        objectOf(
          {
            seconds: { type: 'number', minimum: 0, maximum: YEAR_SECONDS },
            until: text('A time, RFC 3339.', 64),
            event: text('Type of the event.', 500),
            for: { enum: ['tasks', 'message'] },
            timeout_seconds: timeout,
          },
          [],
        ),
      async invoke(args) {
        const waiting = toWaiting(args, clock.now())
        if (typeof waiting === 'string') return failed(`Not waiting: ${waiting}`)
        const end =
          'until' in waiting && waiting.until !== undefined
            ? new Date(waiting.until).toISOString()
            : undefined
        const what = waiting.for === 'time' ? '' : ` for ${waiting.for === 'tasks' ? 'tasks' : 'an event'}`
        return { status: 'ok', output: `Waiting${what}${end ? ` until ${end}` : ''}.`, wait: waiting }
      },
    },
  } satisfies BuiltIns
}

function effect(one: Effect, output: string): ToolOutcome {
  const said = one.kind === 'task' ? one.input : one.data
  if (Buffer.byteLength(JSON.stringify(said)) > MOST_BYTES)
    return failed(`Not sent: it is larger than ${MOST_BYTES} bytes.`)
  return { status: 'ok', output, effects: [one] }
}

/** What to wait for, or what is wrong with it. */
function toWaiting(
  { seconds, until, event, for: what, timeout_seconds }: Args,
  now: number,
): Waiting | string {
  const named = [seconds, until, event, what].filter((one) => one !== undefined).length
  if (named !== 1) return 'say exactly one of `seconds`, `until`, `event` and `for`.'
  if (seconds !== undefined) return { for: 'time', until: now + seconds * 1_000 }
  if (until !== undefined) {
    const at = RFC_3339.test(until) ? Date.parse(until) : Number.NaN
    if (Number.isNaN(at)) return '`until` must be a time as 2030-01-31T12:00:00Z.'
    if (at > now + YEAR_SECONDS * 1_000) return '`until` must be within a year.'
    return { for: 'time', until: at }
  }
  const end = timeout_seconds === undefined ? {} : { until: now + timeout_seconds * 1_000 }
  if (what === 'tasks') return { for: 'tasks', ...end }
  return { for: 'event', ...(event !== undefined && { type: event }), ...end }
}

const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/
