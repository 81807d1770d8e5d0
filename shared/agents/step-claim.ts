import { hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { HubError, RedisUnavailableError } from '../errors.ts'
import { newId } from '../ids.ts'
import { agentKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { CallOptions, Redis, Reply, ScriptCall } from '../ports/redis.ts'
import {
  beginStepScript,
  commitStepScript,
  journalStepScript,
  leaveStepScript,
} from '../scripts.generated.ts'
import { send } from '../send.ts'
import type { AgentState, ChatMessage, InboxMessage, StepRecord } from './agent.ts'
import {
  type AgentRecord,
  type Received,
  readAgent,
  readInbox,
  readMemory,
  type StreamReply,
} from './agent-record.ts'
import type { Due } from './due.ts'

export interface BeginStep {
  tenant: string
  agent: string
  /** Sent again with its id within a day, it is one step; another body (`print`, its hash) under the same id is refused. */
  operation?: { id: string; print: string }
  message?: InboxMessage
  /** Whether somebody goes on until the run is over; absent: as it was. */
  drive?: boolean
  /** It was due and nobody else is given it: its time is this claim's to say. */
  given?: boolean
}

export type Begun =
  | { kind: 'begun'; claim: StepClaim }
  /** This operation is done. */
  | { kind: 'known'; step: StepRecord }
  | { kind: 'busy'; ms: number }
  /** A person must decide first. */
  | { kind: 'undecided'; dueAt: number }
  /** It brings decisions alone, and there is nothing to decide. */
  | { kind: 'decided' }
  | { kind: 'gone'; dueAt: number }

/** What a step is made of, and the fence that it is made behind. */
export interface StepClaim {
  tenant: string
  agent: string
  record: AgentRecord
  memory: ChatMessage[]
  inbox: Received[]
  /** What an earlier runner of this step wrote down. */
  calls: ReadonlyMap<string, string>
  /** Aborts when somebody else has the claim, or may have it. */
  lost: AbortSignal
  /** When the agent is due, as this claim has said: Unix ms. */
  dueAt: number
  /** Throws 409 `step_lost`. */
  note(fields: Record<string, string>): Promise<void>
  /** Throws 409 `step_lost`, 410 `agent_deleted`. */
  commit(commit: StepCommit): Promise<Committed>
  /** Gives the claim back. `again`: the step is taken up later; else it never began. */
  leave(again: boolean): Promise<void>
}

interface StepCommit {
  record: Omit<StepRecord, 'version'>
  state: AgentState
  drive: boolean
  /** Stream ids of the inbox. */
  taken: readonly string[]
  /** Of working memory: the oldest so many go, these come. */
  dropped: number
  added: readonly ChatMessage[]
  sent: readonly object[]
}

export interface Committed {
  step: StepRecord
  /** Messages that are still in it. */
  inbox: number
}

const OPERATION_MS = 86_400_000
/** Steps that the journal keeps. */
const JOURNAL = 1_000
/** All that an inbox holds: what is waited for may be behind what is not taken up yet. */
const MOST_MESSAGES = 1_000

export interface StepClaimsOptions {
  redis: Redis
  due: Due
  clock: Clock
  /** A runner that says nothing for so long is dead. */
  claimMs: number
}

/** Begins steps. Every script may be sent again: it knows its run. */
export function createStepClaims({ redis, due, clock, claimMs }: StepClaimsOptions) {
  /** What was done is told again to a Redis that is away, while the claim holds. */
  async function insist<T>(call: (options: CallOptions) => Promise<T>): Promise<T> {
    const until = performance.now() + claimMs * 0.8
    for (let pause = 50; ; pause = Math.min(pause * 2, 1_000)) {
      try {
        return await call({ timeoutMs: 2_000 })
      } catch (error) {
        if (!(error instanceof RedisUnavailableError) || performance.now() + pause > until) throw error
        await sleep(pause)
      }
    }
  }

  /** Claims the agent; before that it says when somebody must look after it, since its runner may die at any line. */
  return async function begin(asked: BeginStep): Promise<Begun> {
    const { tenant, agent, operation, message, drive, given } = asked
    const keys = agentKeys(tenant, agent)
    const runId = newId()
    const operationHash = operation ? hash('sha256', operation.id) : ''
    const decides = message?.decisions ? (message.data === null ? 2 : 1) : ''
    const dueAt = clock.now() + claimMs * 1.1
    const call: ScriptCall = {
      script: beginStepScript,
      keys: [keys.agent, keys.inbox, keys.calls, keys.memory, keys.operation(operationHash)],
      args: [
        ...[runId, claimMs, operationHash, operation?.print ?? '', message ? JSON.stringify(message) : ''],
        ...[drive === undefined ? '' : Number(drive), decides, MOST_MESSAGES],
      ],
    }
    // Who was not given it must not put off what is due before.
    const when = (given ? due.at : due.by)(tenant, agent, dueAt)
    const replies = await insist((options) => redis.wave([when, call], { ...options, ordered: true }))
    for (const reply of replies) if (reply instanceof Error) throw reply
    const [kind, ...rest] = replies[1] as [string, ...Reply[]]
    if (kind === 'missing' || kind === 'deleted') return { kind: 'gone', dueAt }
    if (kind === 'busy') return { kind, ms: rest[0] as number }
    if (kind === 'undecided') return { kind, dueAt }
    if (kind === 'decided') return { kind }
    if (kind === 'other') throw otherBody()
    if (kind === 'known') return { kind, step: readKnown(rest[0] as string, operation!.print) }
    const [fields, memory, inbox, calls] = rest as [string[], StreamReply, StreamReply, string[]]
    const record = readAgent(fields)!
    return { kind: 'begun', claim: toClaim(record, memory, inbox, calls) }

    function toClaim(
      record: AgentRecord,
      memory: StreamReply,
      inbox: StreamReply,
      flat: string[],
    ): StepClaim {
      const calls = new Map<string, string>()
      for (let i = 0; i < flat.length; i += 2) calls.set(flat[i]!, flat[i + 1]!)
      const lost = new AbortController()
      let heardAt = performance.now()
      let wrote = false

      async function note(fields: Record<string, string>) {
        const args = [runId, claimMs, ...Object.entries(fields).flat()]
        const call = { script: journalStepScript, keys: [keys.agent, keys.calls], args }
        const asked = performance.now()
        const held = await insist((options) => send(redis, call, options))
        if (held === 0) lost.abort(stepLost())
        lost.signal.throwIfAborted()
        heardAt = asked
      }

      const beating = setInterval(() => {
        note({}).catch(() => {
          if (performance.now() - heardAt > claimMs) lost.abort(stepLost())
        })
      }, claimMs / 3)

      return {
        ...{ tenant, agent, record, dueAt, calls, note },
        memory: readMemory(memory),
        inbox: readInbox(inbox),
        lost: lost.signal,

        async commit({ record: stepRecord, state, drive, taken, dropped, added, sent }) {
          clearInterval(beating)
          const { operation } = record
          const pending = state.waiting?.for === 'approval' ? state.waiting.calls.length : 0
          const text = JSON.stringify(stepRecord)
          const call: ScriptCall = {
            script: commitStepScript,
            keys: [
              ...[keys.agent, keys.calls, keys.memory, keys.steps, keys.inbox, keys.outbox],
              keys.operation(operation?.hash ?? ''),
            ],
            args: [
              ...[runId, record.steps, stepRecord.status, JSON.stringify(state), text],
              ...[operation?.print ?? '', OPERATION_MS, JOURNAL, dropped],
              ...[state.task ? `${state.task.id}/${state.task.attempt}` : '', pending, Number(drive)],
              ...[taken.length, added.length, sent.length, ...taken],
              ...[...added, ...sent].map((one) => JSON.stringify(one)),
            ],
          }
          const reply = (await insist((options) => send(redis, call, options))) as [string | number, number]
          wrote = true
          if (reply[0] === 'deleted') throw agentDeleted()
          if (reply[0] === 'lost') throw stepLost()
          return { step: { ...stepRecord, version: reply[0] as number }, inbox: reply[1] }
        },

        async leave(again) {
          clearInterval(beating)
          if (wrote) return
          const call = { script: leaveStepScript, keys: [keys.agent], args: [runId, Number(again)] }
          await insist((options) => send(redis, call, options))
        },
      }
    }
  }
}

export type BeginStepCall = ReturnType<typeof createStepClaims>

function readKnown(text: string, print: string): StepRecord {
  const known = JSON.parse(text) as { print: string; version: number; record: StepRecord }
  if (known.print === print) return { ...known.record, version: known.version }
  throw otherBody()
}

const otherBody = () =>
  new HubError({
    code: 'idempotency_mismatch',
    status: 422,
    message: 'This Idempotency-Key was used with another body. Send the same one, or another key.',
  })

const stepLost = () =>
  new HubError({
    code: 'step_lost',
    status: 409,
    message:
      'Another step of this agent took over: this one was silent for too long, or the agent was made anew.',
  })

const agentDeleted = () =>
  new HubError({ code: 'agent_deleted', status: 410, message: 'The agent was deleted while its step ran.' })
