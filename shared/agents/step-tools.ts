import type { Decision, ModelToolCall, PendingCall, ToolCallRecord } from './agent.ts'
import type { StepClaim } from './step-claim.ts'
import type { Tool, ToolCallContext, ToolOutcome } from './tools/tool.ts'

/** A call that a step has to make, or a person has decided on. */
export interface DueCall extends ModelToolCall {
  /** Of the step that asked for it. */
  step: number
  n: number
  decision?: Decision
}

/** How it went, or that a person must decide. */
export type CallResult = { record: ToolCallRecord; outcome?: ToolOutcome } | { pending: PendingCall }

export interface CallToolsOptions {
  claim: StepClaim
  tools: ReadonlyMap<string, Tool>
  context: Omit<ToolCallContext, 'idempotencyKey' | 'step'>
  /** Written down together with the first intents. */
  answer?: string
}

/** Calls that one answer may ask for. */
const MOST_CALLS = 32

/**
 * Makes the calls of a step, all at the same time: each one's intent is written down before it, its result after it. A result that is
 * there is taken; an intent alone is run again where the tool is idempotent, else a person must say.
 */
export async function callTools(calls: readonly DueCall[], options: CallToolsOptions): Promise<CallResult[]> {
  const { claim, tools, answer } = options
  const planned = calls.map((call, i) => plan(call, i, claim, tools))
  const intents = planned.flatMap((one) => ('intent' in one ? [[one.intent, '1'] as const] : []))
  if (answer !== undefined || intents.length > 0) {
    await claim.note(Object.fromEntries([...(answer === undefined ? [] : [['answer', answer]]), ...intents]))
  }
  return Promise.all(
    planned.map((one): CallResult | Promise<CallResult> => ('tool' in one ? run(one, options) : one.result)),
  )
}

type Planned = { result: CallResult } | { call: DueCall; tool: Tool; intent: string; resultField: string }

function plan(call: DueCall, i: number, claim: StepClaim, tools: ReadonlyMap<string, Tool>): Planned {
  const { step, n, decision } = call
  const tool = tools.get(call.name)
  const said = (status: ToolCallRecord['status'], output: string) => ({
    result: { record: toRecord(call, { status, output, ms: 0 }) },
  })
  const pending = (why: PendingCall['why']): Planned => ({
    result: { pending: { ...toModelCall(call), step, n, why } },
  })

  const resultField = `result:${step}/${n}`
  const stored = claim.calls.get(resultField)
  if (stored !== undefined) return { result: readResult(call, stored) }
  if (decision?.action === 'reject') return said('rejected', refusal(decision))
  if (decision?.action === 'result') return said('ok', decision.output ?? '')
  if (!tool) {
    const names = [...tools.keys()].join(', ')
    return said(
      'error',
      `There is no tool \`${call.name}\`. ${names ? `There are: ${names}.` : 'There are none.'}`,
    )
  }
  if (i >= MOST_CALLS) return said('error', `Not called: one answer may ask for ${MOST_CALLS} calls.`)
  // A person's word covers one run.
  const intent = `${decision ? 'decided' : 'intent'}:${step}/${n}`
  if (claim.calls.has(intent) && !tool.idempotent) return pending('unknown')
  if (tool.approval && !decision) return pending('approval')
  return { call, tool, intent, resultField }
}

async function run(
  { call, tool, resultField }: Extract<Planned, { tool: Tool }>,
  { claim, context }: CallToolsOptions,
): Promise<CallResult> {
  const began = performance.now()
  const { agent, record } = claim
  const idempotencyKey = `${agent}/${record.made}/${call.step}/${call.n}`
  const outcome = await tool.run(call.arguments, { ...context, idempotencyKey, step: record.steps })
  context.signal.throwIfAborted()
  const ms = Math.round(performance.now() - began)
  await claim.note({ [resultField]: JSON.stringify({ outcome, ms }) })
  return toResult(call, outcome, ms)
}

function readResult(call: DueCall, text: string): CallResult {
  const { outcome, ms } = JSON.parse(text) as { outcome: ToolOutcome; ms: number }
  return toResult(call, outcome, ms)
}

const toResult = (call: DueCall, outcome: ToolOutcome, ms: number): CallResult => ({
  outcome,
  record: toRecord(call, {
    ...{ status: outcome.status, output: outcome.output, ms },
    ...(outcome.status === 'ok' && outcome.cached && { cached: true }),
  }),
})

const toRecord = (call: DueCall, rest: Omit<ToolCallRecord, keyof ModelToolCall>): ToolCallRecord => ({
  ...toModelCall(call),
  ...{ ...rest, output: rest.output.toWellFormed() },
})

const toModelCall = ({ id, name, arguments: args }: DueCall): ModelToolCall => ({ id, name, arguments: args })

const refusal = ({ reason }: Decision) => `A person refused this call${reason ? `: ${reason}` : '.'}`
