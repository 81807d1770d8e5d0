import { agentChannel } from '../keys.ts'
import type { StepRecord } from './agent.ts'
import type { OutboxMessage } from './outbox.ts'

/** Of a text, in an event. */
const LONGEST = 2_000
/** Of a step's calls. */
const MOST_CALLS = 8

/** What those who listen are told of a step: all of it on the agent's own channel, its end on `agent:events`, what went wrong on `agent:logs`. */
export function eventsOf(agent: string, made: string, step: Omit<StepRecord, 'version'>): OutboxMessage[] {
  const { status, output, tool_calls: calls, error, task } = step
  const said = output === null ? null : cut(output)
  const events = [toEvent('step', agentChannel(agent), 'step', { agent, ...shorten(step) })]
  if (status !== 'running') {
    const data = {
      agent,
      step: step.step,
      status,
      output: said,
      ...(task && { task: task.id }),
      ...(error && { error }),
    }
    events.push(toEvent('status', 'agent:events', `agent.${status}`, data))
  }
  const wrong = calls.flatMap(({ name, status, output }) =>
    status === 'error' ? [`${name}: ${output}`] : [],
  )
  if (error) wrong.push(`${error.code}: ${error.message}`)
  if (wrong.length > 0) {
    const lines = wrong.slice(0, MOST_CALLS).map(cut)
    events.push(toEvent('log', 'agent:logs', error ? 'error' : 'warning', { agent, step: step.step, lines }))
  }
  return events

  function toEvent(what: string, channel: string, type: string, data: object): OutboxMessage {
    return { kind: 'publish', id: `${agent}.${made}.${step.step}.${what}`, channel, type, data }
  }
}

const shorten = (step: Omit<StepRecord, 'version'>) => ({
  ...step,
  output: step.output === null ? null : cut(step.output),
  tool_calls: step.tool_calls.slice(0, MOST_CALLS).map((call) => ({
    ...call,
    arguments: cut(call.arguments),
    output: cut(call.output),
  })),
})

const cut = (text: string) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text)
