import type { Caller } from '../admission.ts'
import { HubError, mayPass, toHubError } from '../errors.ts'
import type { CountTokens } from '../ports/chat.ts'
import type { Clock } from '../ports/clock.ts'
import type { AgentState, AgentStatus, ChatMessage, Decision, ToolCallRecord, Waiting } from './agent.ts'
import { type Received, showWaiting } from './agent-record.ts'
import type { ExtractMemories } from './memory/extract-memories.ts'
import { fitWorkingMemory, toPrompt } from './memory/working-memory.ts'
import type { OutboxMessage } from './outbox.ts'
import type { Committed, StepClaim } from './step-claim.ts'
import { eventsOf } from './step-events.ts'
import { inOrder, stateAfter, takeUp, timeOver, toChatMessages } from './step-intake.ts'
import type { AskModel, ModelAnswer, StepUsage } from './step-model.ts'
import { type CallResult, callTools, type DueCall } from './step-tools.ts'
import type { Effect, Tools } from './tools/tool.ts'

export interface StepOptions {
  tools: Tools
  askModel: AskModel
  countTokens: CountTokens
  extractMemories: ExtractMemories
  clock: Clock
  defaultModel: string
}

export interface StepCall {
  claim: StepClaim
  /** Whose key it acts by, or why it may not. */
  caller: Caller | HubError
  /** Whether somebody goes on until the run is over. */
  drive: boolean
  signal: AbortSignal
  defer(work: Promise<unknown>): void
}

export interface StepDone extends Committed {
  state: AgentState
}

const DEFAULT_STEPS = 50
const DEFAULT_MEMORY_TOKENS = 8_000
/** Times that a step may be begun: what stops its runner each time is not tried for ever. */
const MOST_ATTEMPTS = 8
/** Of a tool's output, in the journal and in events; the model's memory has all of it. */
const SHOWN_OUTPUT = 4_000

/** What was journalled of a model's answer: a retry must not get other tool calls, nor other messages. */
interface Journalled extends ModelAnswer {
  taken: string[]
}

/**
 * One step of an agent: messages in, one model call, its tool calls, one commit. Whatever the model and the tools do wrong ends in the
 * step's record; throws what may pass (a provider or Redis that is away), and the agent stays as it was.
 */
export function createRunStep({
  tools: toolbox,
  askModel,
  countTokens,
  extractMemories,
  clock,
  defaultModel,
}: StepOptions) {
  return async function runStep({ claim, caller, drive, signal: outer, defer }: StepCall): Promise<StepDone> {
    const { tenant, agent, record } = claim
    const { settings, made, steps: step } = record
    const model = settings.model ?? defaultModel
    const signal = AbortSignal.any([outer, claim.lost])
    const startedAt = clock.now()
    const answered = claim.calls.get('answer')
    const before: Journalled | undefined = answered === undefined ? undefined : JSON.parse(answered)
    const taken = before
      ? claim.inbox.filter(({ entry }) => before.taken.includes(entry))
      : takeUp(record, claim.inbox)
    const state = stateAfter(record, taken, startedAt)
    // A task begins a conversation of its own.
    const starts = taken.some(({ type }) => type === 'task')
    const memory = starts ? [] : claim.memory
    if (starts) delete state.summary

    const added: ChatMessage[] = []
    const calls: ToolCallRecord[] = []
    const sent: OutboxMessage[] = []
    const usage: StepUsage = { tokens: 0, cost: 0 }
    /** Of working memory, the oldest so many messages: they are summed up. */
    let gone = 0
    let output: string | null = null
    let waiting: Waiting | undefined
    let status: AgentStatus
    try {
      if (record.attempts > MOST_ATTEMPTS) throw stepGivenUp()
      if (caller instanceof HubError) throw caller
      status = await think(caller)
    } catch (error) {
      signal.throwIfAborted()
      if (mayPass(error) && record.attempts <= MOST_ATTEMPTS) throw error
      const { code, message } = toHubError(error)
      state.error = { code, message }
      status = 'failed'
      waiting = undefined
      added.length = 0 // what broke this step is not to break the next one
      if (error === caller) added.push(...taken.flatMap(toChatMessages)) // they did not
    }
    const run = state.run!
    run.steps++
    run.tokens += usage.tokens
    run.cost += usage.cost
    const goesOn = status === 'running' || (status === 'waiting' && waiting?.for !== 'approval')
    const limit = goesOn ? overLimit() : undefined
    if (limit) {
      state.error = { code: 'limit_reached', message: `The agent's limit of ${limit} is reached.` }
      status = 'failed'
      waiting = undefined
    }
    if (waiting) state.waiting = waiting
    const dropped = starts ? claim.memory.length : Math.min(gone, memory.length)
    return finish(status, dropped, added.slice(Math.max(0, gone - memory.length)))

    /** Tools that a person decided on, messages, the model, its tools. */
    async function think(caller: Caller): Promise<AgentStatus> {
      const context = { tenant, agent, caller, signal, defer }
      const tools = await toolbox.open(settings.tools ?? [], context)
      const held = record.state.waiting?.for === 'approval' ? record.state.waiting.calls : []
      const decisions = taken.flatMap(({ decisions = [] }) => decisions)
      const decided = held.flatMap((call): DueCall[] => {
        // That it may run is not that it may run again.
        const fits = ({ call_id, action }: Decision) =>
          call_id === call.id && !(call.why === 'unknown' && action === 'approve')
        const decision = decisions.findLast(fits)
        return decision ? [{ ...call, decision }] : []
      })
      const undecided = held.filter(({ id }) => !decided.some((call) => call.id === id))
      const early = await callTools(decided, { claim, tools, context })
      const open = [...undecided, ...take(early)]
      added.push(...timeOver(record.state, taken), ...taken.flatMap(toChatMessages))
      if (open.length > 0) return holdUp(open)

      let answer: ModelAnswer | undefined = before
      if (!answer) {
        const fitted = await fitMemory([...memory, ...added], caller)
        if (fitted.summary !== undefined) state.summary = fitted.summary
        gone = fitted.dropped
        const messages = toPrompt({
          ...{ instructions: settings.instructions, summary: fitted.summary },
          messages: inOrder(fitted.messages),
        })
        const callId = (n: number) => `call_${step}_${n}`
        answer = await askModel({ caller, request: { model, messages }, tools, callId, signal, defer })
      }
      usage.tokens += answer.usage.tokens
      usage.cost += answer.usage.cost
      output = answer.text
      added.push(toMessage(answer))
      if (answer.calls.length === 0) return 'done'
      const journalled: Journalled = { ...answer, taken: taken.map(({ entry }) => entry) }
      const results = await callTools(
        answer.calls.map((call, n) => ({ ...call, step, n })),
        { claim, tools, context, ...(!before && { answer: JSON.stringify(journalled) }) },
      )
      const pending = take(results)
      if (pending.length > 0) return holdUp(pending)
      // All have reported already: nobody would wake it up.
      if (waiting?.for === 'tasks' && !state.tasks?.length) waiting = undefined
      return waiting ? 'waiting' : 'running'
    }

    function holdUp(pending: Extract<Waiting, { for: 'approval' }>['calls']): AgentStatus {
      waiting = { for: 'approval', calls: pending }
      return pending.some(({ why }) => why === 'unknown') ? 'needs_attention' : 'waiting'
    }

    /** Into the conversation and the outbox; what a person must decide on comes back. */
    function take(results: readonly CallResult[]) {
      return results.flatMap((result) => {
        if ('pending' in result) {
          const { id, name, arguments: args } = result.pending
          calls.push({ id, name, arguments: args, status: 'pending', output: '', ms: 0 })
          return [result.pending]
        }
        const { record: call, outcome } = result
        calls.push(call)
        added.push({ role: 'tool', tool_call_id: call.id, content: call.output })
        if (outcome?.status === 'ok') {
          for (const effect of outcome.effects ?? []) sent.push(toOutbox(effect))
          if (outcome.wait) waiting = outcome.wait
        }
        return []
      })
    }

    function toOutbox(effect: Effect): OutboxMessage {
      const id = `${agent}.${made}.${step}.${sent.length}`
      if (effect.kind === 'task') {
        const { input, to, topic } = effect
        state.tasks = [...(state.tasks ?? []), id]
        return {
          kind: 'task',
          task: { id, input, planner: agent, ...(to && { to }), ...(topic && { topic }) },
        }
      }
      if (effect.kind === 'publish') {
        const { channel, type, data } = effect
        return { kind: 'publish', id, channel, data, ...(type && { type }) }
      }
      const message = { id, type: 'message' as const, from: `agent:${agent}`, data: effect.data }
      return { kind: 'message', to: effect.to, message }
    }

    function overLimit(): string | undefined {
      const { steps = DEFAULT_STEPS, tokens, cost, seconds } = settings.limits ?? {}
      if (run.steps >= steps) return `${steps} steps`
      if (tokens !== undefined && run.tokens >= tokens) return `${tokens} tokens`
      if (cost !== undefined && run.cost >= cost) return `${cost} USD`
      if (seconds !== undefined && clock.now() - run.started >= seconds * 1_000) return `${seconds} seconds`
      return undefined
    }

    function fitMemory(messages: readonly ChatMessage[], caller: Caller) {
      const maxTokens = settings.memory?.max_tokens ?? DEFAULT_MEMORY_TOKENS
      return fitWorkingMemory({
        ...{ messages, summary: state.summary, maxTokens, countTokens },
        async summarise(prompt) {
          const request = { model, temperature: 0, messages: [{ role: 'user', content: prompt }] }
          const answer = await askModel({ caller, request, callId: String, signal, defer })
          usage.tokens += answer.usage.tokens
          usage.cost += answer.usage.cost
          return answer.text ?? ''
        },
      })
    }

    async function finish(
      status: AgentStatus,
      dropped: number,
      kept: readonly ChatMessage[],
    ): Promise<StepDone> {
      const { task } = state
      const isOver = status === 'done' || status === 'failed'
      if (task && isOver) {
        const said = output ?? state.error?.message ?? ''
        sent.push({ kind: 'task-result', outcome: { task, executor: agent, status, output: said } })
        delete state.task
      }
      const shown = {
        ...{ step, status, output, usage },
        tool_calls: calls.map((call) => ({ ...call, output: cut(call.output) })),
        messages: taken.map(({ id }) => id),
        ...(waiting && { waiting: showWaiting(waiting) }),
        ...(task && { task }),
        ...(state.error && { error: state.error }),
        started_at: new Date(startedAt).toISOString(),
        finished_at: new Date(clock.now()).toISOString(),
      }
      for (const one of eventsOf(agent, made, shown)) sent.push(one)
      const committed = await claim.commit({
        ...{ record: shown, state, drive, dropped, sent },
        taken: taken.map(({ entry }) => entry),
        added: kept,
      })
      if (settings.memory?.extract && !(caller instanceof HubError))
        for (const message of taken) defer(extract(message, caller))
      return { ...committed, state }
    }

    async function extract({ id, type, data }: Received, caller: Caller): Promise<void> {
      if (type !== 'input' || typeof data !== 'string') return
      await extractMemories({ tenant, agent, caller, model, text: data, message: id, signal: outer, defer })
    }
  }
}

export type RunStep = ReturnType<typeof createRunStep>

const toMessage = ({ text, calls }: ModelAnswer): ChatMessage => ({
  role: 'assistant',
  content: text,
  ...(calls.length > 0 && {
    tool_calls: calls.map(({ id, name, arguments: args }) => ({
      id,
      type: 'function' as const,
      function: { name, arguments: args },
    })),
  }),
})

const cut = (text: string) =>
  text.length > SHOWN_OUTPUT ? `${text.slice(0, SHOWN_OUTPUT).toWellFormed()}…` : text

const stepGivenUp = () =>
  new HubError({
    code: 'step_given_up',
    status: 422,
    message: `The step was begun ${MOST_ATTEMPTS} times and never came to its end. What it was given is in the journal.`,
  })
