import { agentChannel } from '../keys.ts'
import type { StepRecord } from './agent.ts'
import type { OutboxMessage } from './outbox.ts'

/** Of a text in an event; of a step whose texts are too long together, fewer. */
const LONGEST = [2_000, 200, 20] as const
/** Of a step's calls. */
const MOST_CALLS = 8
/** Of a line of the log. */
const LONGEST_LINE = 1_000
/** Channels take no more than 64 KiB. */
const MOST_BYTES = 60_000

/** What those who listen are told of a step: all of it on the agent's own channel, its end on `agent:events`, what went wrong on `agent:logs`. */
export function eventsOf(agent: string, made: string, step: Omit<StepRecord, 'version'>): OutboxMessage[] {
  const { status, output, tool_calls: calls, error, task } = step
  const said = output === null ? null : cut(output, LONGEST[0])
  const events = [toEvent('step', agentChannel(agent), 'step', { agent, ...shorten(step) })]
  if (status !== 'running') {
    const data = {
      agent,
      step: step.step,
      status,
      output: said,
      ...(task && { task: task.id }),
      ...(error && { error: { ...error, message: cut(error.message, LONGEST[0]) } }),
    }
    events.push(toEvent('status', 'agent:events', `agent.${status}`, data))
  }
  const wrong = calls.flatMap(({ name, status, output }) =>
    status === 'error' ? [`${name}: ${output}`] : [],
  )
  if (error) wrong.push(`${error.code}: ${error.message}`)
  if (wrong.length > 0) {
    const lines = wrong.slice(0, MOST_CALLS).map((line) => cut(line, LONGEST_LINE))
    events.push(toEvent('log', 'agent:logs', error ? 'error' : 'warning', { agent, step: step.step, lines }))
  }
  return events

  function toEvent(what: string, channel: string, type: string, data: object): OutboxMessage {
    return { kind: 'publish', id: `${agent}.${made}.${step.step}.${what}`, channel, type, data }
  }
}

function shorten(step: Omit<StepRecord, 'version'>) {
  const shortened = LONGEST.map((longest) => shortenTo(step, longest))
  return shortened.find((one) => Buffer.byteLength(JSON.stringify(one)) <= MOST_BYTES) ?? shortened.at(-1)!
}

function shortenTo(
  { output, tool_calls, waiting, error, ...step }: Omit<StepRecord, 'version'>,
  longest: number,
) {
  const texts = <T extends { arguments: string; output?: string }>(calls: readonly T[]) =>
    calls.slice(0, MOST_CALLS).map((call) => ({
      ...call,
      arguments: cut(call.arguments, longest),
      ...(call.output !== undefined && { output: cut(call.output, longest) }),
    }))
  return {
    ...step,
    output: output === null ? null : cut(output, longest),
    tool_calls: texts(tool_calls),
    ...(waiting && {
      waiting: waiting.for === 'approval' ? { ...waiting, calls: texts(waiting.calls) } : waiting,
    }),
    ...(error && { error: { ...error, message: cut(error.message, longest) } }),
  }
}

const cut = (text: string, longest: number) =>
  text.length > longest ? `${text.slice(0, longest).toWellFormed()}…` : text
