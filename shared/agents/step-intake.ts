import type { AgentState, AgentStatus, ChatMessage, Waiting } from './agent.ts'
import type { AgentRecord, Received } from './agent-record.ts'

/** Messages that one step takes up. */
const MOST_TAKEN = 100

const OVER: readonly AgentStatus[] = ['idle', 'done', 'failed']

/** Of the messages that are there, those that the next step takes up. A task is taken alone, and by nobody who has something in hand. */
export function takeUp({ status }: AgentRecord, inbox: readonly Received[]): Received[] {
  const first = inbox[0]
  if (OVER.includes(status) && first?.type === 'task') return [first]
  const others = inbox.filter(({ type }) => type !== 'task')
  return others.length > 0 || !OVER.includes(status) ? others.slice(0, MOST_TAKEN) : inbox.slice(0, 1)
}

/** Whether there is something to do for an agent whom nobody asked for a step. */
export function mayGoOn(
  { status, state, drive }: AgentRecord,
  taken: readonly Received[],
  now: number,
): boolean {
  if (status === 'running') return drive || taken.length > 0
  if (status !== 'waiting') return taken.length > 0
  // What it waits for may be behind what fills its hands: it reads that first.
  return taken.length >= MOST_TAKEN || taken.some(({ type }) => type === 'input') || isOver(state, taken, now)
}

/** When it is to be looked at again though nothing comes: Unix ms. */
export function dueOf(
  status: AgentStatus,
  { waiting }: AgentState,
  drive: boolean,
  now: number,
): number | undefined {
  if (status === 'running') return drive ? now : undefined
  if (status !== 'waiting' || waiting?.for === 'approval') return undefined
  return waiting?.until
}

function isOver({ waiting, tasks = [] }: AgentState, taken: readonly Received[], now: number): boolean {
  if (!waiting || waiting.for === 'approval') return false
  if (waiting.until !== undefined && now >= waiting.until) return true
  if (waiting.for === 'event') return taken.some((message) => isAwaited(waiting, message))
  if (waiting.for === 'tasks') return openTasks(tasks, taken).length === 0
  return false
}

const isAwaited = ({ type }: Extract<Waiting, { for: 'event' }>, message: Received) =>
  type === undefined || message.event_type === type

/** Tasks that have not reported yet. */
function openTasks(tasks: readonly string[], taken: readonly Received[]): string[] {
  const reported = new Set(
    taken.flatMap(({ type, task }) => (type === 'task-result' && task ? [task.id] : [])),
  )
  return tasks.filter((id) => !reported.has(id))
}

/** What an agent knows as its step begins. What comes after the end of a run begins another one. */
export function stateAfter(record: AgentRecord, taken: readonly Received[], now: number): AgentState {
  const { summary, tasks, run } = record.state
  const task = taken.find(({ type }) => type === 'task')?.task ?? record.state.task
  const isNew = OVER.includes(record.status) || !run
  return {
    run: isNew ? { started: now, steps: 0, tokens: 0, cost: 0 } : run,
    ...(tasks && { tasks: openTasks(tasks, taken) }),
    ...(task && { task }),
    ...(summary !== undefined && { summary }),
  }
}

/** What the model reads of a message; a decision alone says nothing. */
export function toChatMessages({ type, from, event_type, data, task, decisions }: Received): ChatMessage[] {
  if (decisions && data === null) return []
  const text = typeof data === 'string' ? data.toWellFormed() : JSON.stringify(data)
  const by = from === undefined ? '' : ` from ${from}`
  const heads = {
    input: undefined,
    message: `Message${by}:`,
    event: `Event${event_type === undefined ? '' : ` ${event_type}`}${by}:`,
    task: `Task ${task?.id}${by}:`,
    'task-result': `Result of task ${task?.id}:`,
  }
  const head = heads[type]
  return [{ role: 'user', content: head === undefined ? text : `${head}\n${text}` }]
}

/** That nothing came until its time was over. */
export function timeOver({ waiting }: AgentState, taken: readonly Received[]): ChatMessage[] {
  if (!waiting || waiting.for === 'approval' || taken.length > 0) return []
  const what = {
    time: 'The time',
    event: 'No such event came: the time',
    tasks: 'Not all tasks reported: the time',
  }
  return [{ role: 'user', content: `${what[waiting.for]} that you waited for is over.` }]
}

/**
 * Each tool's answer right behind the message that asked for it, as providers want it: a person may have said something in between, and a
 * step that failed left calls without an answer.
 */
export function inOrder(messages: readonly ChatMessage[]): ChatMessage[] {
  const answers = new Map(messages.map((message) => [message.tool_call_id, message]))
  return messages.flatMap((message): ChatMessage[] => {
    if (message.role === 'tool') return []
    const own = (message.tool_calls ?? []).map(
      ({ id }): ChatMessage =>
        answers.get(id) ?? { role: 'tool', tool_call_id: id, content: 'Nothing is known of this call.' },
    )
    return [message, ...own]
  })
}
