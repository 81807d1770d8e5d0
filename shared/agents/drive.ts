import { hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Admission, Caller } from '../admission.ts'
import { HubError, mayPass, toHubError } from '../errors.ts'
import { newId } from '../ids.ts'
import { agentKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { send } from '../send.ts'
import type { InboxMessage, StepRecord } from './agent.ts'
import { readSteps, type StreamReply } from './agent-record.ts'
import { type Agents, unknownAgent } from './agents.ts'
import type { Due } from './due.ts'
import type { Relay } from './outbox.ts'
import type { RunStep, StepDone } from './step.ts'
import type { BeginStepCall, Begun, StepClaim } from './step-claim.ts'
import { dueOf, mayGoOn, takeUp } from './step-intake.ts'

export interface DriveOptions {
  redis: Redis
  begin: BeginStepCall
  runStep: RunStep
  relay: Relay
  due: Due
  admission: Pick<Admission, 'recall'>
  agents: Pick<Agents, 'list' | 'tidy'>
  clock: Clock
  /** A runtime that does not live on works on what the step has sent to others. */
  onSettled?(): Promise<void>
  /** Steps that one request may run, where a runtime counts calls. */
  mostSteps?: number
}

interface AgentCall {
  tenant: string
  agent: string
  signal: AbortSignal
  /** The caller left, or the process is to stop: what runs is finished, and nothing else begins. */
  left?: AbortSignal
  /** No step begins after it: Unix ms. */
  untilMs: number
  defer(work: Promise<unknown>): void
}

export interface StepAsked extends AgentCall {
  caller: Caller
  /** Its `Idempotency-Key`, and the hash of its body. */
  operation: { id?: string; print: string }
  message?: InboxMessage
  /** Goes on until the run is over, or waits. */
  untilDone: boolean
  onStep?(step: StepRecord): void
}

/** A step that failed for now is begun again after so long, doubled each time. */
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 60_000
const RELAY_RETRY_MS = 5_000
const POLL_MS = 250
/** One that does not end by itself is given up, and begun again later. */
const LONGEST_STEP_MS = 10 * 60_000

/** Steps that somebody asks for, and steps that are due. */
export function createDrive(options: DriveOptions) {
  const {
    redis,
    begin,
    runStep,
    relay,
    due,
    admission,
    agents,
    clock,
    onSettled,
    mostSteps = Number.POSITIVE_INFINITY,
  } = options

  return { step, lookAfter }

  /**
   * Runs the step that is asked for, or tells its result again. One that its runner left unfinished comes before it. What fails for now is
   * thrown, and done later by whoever is free.
   *
   * Errors: 404 `agent_not_found`, 409 `step_running`, `decision_needed`, `nothing_to_decide` and `step_lost`, 410, 422 `idempotency_mismatch`; those of completions.
   */
  async function step(asked: StepAsked): Promise<StepRecord> {
    const { tenant, agent, caller, message, untilDone, onStep } = asked
    const operation = { id: asked.operation.id ?? newId(), print: asked.operation.print }
    const operationHash = hash('sha256', operation.id)
    for (;;) {
      const begun = await begin({ tenant, agent, operation, message, drive: untilDone })
      if (begun.kind === 'known') {
        onStep?.(begun.step)
        return untilDone ? goOn(asked, begun.step) : begun.step
      }
      if (begun.kind !== 'begun') throw refusalOf(begun, agent)
      const { claim } = begun
      const isOwn = claim.record.operation?.hash === operationHash
      const call = { ...asked, caller, claim, drive: isOwn ? untilDone : claim.record.drive }
      const done = await run(call)
      const settled = settle({ ...call, dueAt: claim.dueAt }, done, untilDone)
      if (!isOwn) {
        await settled.catch(() => {}) // when it is due next says that something is left
        continue
      }
      asked.defer(settled.then(onSettled))
      onStep?.(done.step)
      return untilDone ? goOn(asked, done.step, claim.dueAt) : done.step
    }
  }

  /** Until the run is over, waits, or is left to whoever is free. Another runner may be at it too. `dueAt`: of the run's first claim here. */
  async function goOn(asked: StepAsked, from: StepRecord, dueAt?: number): Promise<StepRecord> {
    const { tenant, agent, onStep, left, untilMs } = asked
    let last = from
    for (let n = 1; last.status === 'running'; ) {
      const isOver = n >= mostSteps || left?.aborted || clock.now() >= untilMs
      if (isOver) {
        asked.defer(due.now(tenant, agent))
        return last
      }
      const begun = await begin({ tenant, agent })
      if (begun.kind === 'busy') {
        await sleep(POLL_MS)
        continue
      }
      if (begun.kind === 'gone') throw unknownAgent(agent)
      if (begun.kind === 'begun' && begun.claim.record.status === 'running') {
        const { claim } = begun
        dueAt ??= claim.dueAt
        const done = await run({ ...asked, claim, drive: true })
        asked.defer(settle({ ...asked, dueAt, drive: true }, done, true).then(onSettled))
        last = done.step
        n++
      } else {
        if (begun.kind === 'begun') await giveBack(asked, begun.claim)
        last = (await lastStep(tenant, agent)) ?? { ...last, status: 'done' }
      }
      onStep?.(last)
    }
    return last
  }

  /** What an agent is due for: the rest of a crashed step, messages, the end of a wait, what it has to send. Resolves with the steps it took. */
  async function lookAfter(call: AgentCall): Promise<number> {
    const { tenant, agent, left, untilMs } = call
    for (let steps = 0; ; ) {
      const begun = await begin({ tenant, agent, given: true })
      if (begun.kind === 'busy') return steps // its runner says when it is due next
      if (begun.kind === 'gone' || begun.kind === 'undecided') {
        await relay(tenant, agent)
        if (begun.kind === 'gone') await agents.tidy(tenant, agent)
        await due.settle(tenant, agent, begun.dueAt, undefined)
        return steps
      }
      if (begun.kind !== 'begun') return steps
      const { claim } = begun
      const { record, inbox, dueAt } = claim
      const taken = takeUp(record, inbox)
      // Nobody asked for this step, and who began it before, if anybody did, has done nothing of it.
      const isOpen = record.operation !== undefined || claim.calls.size > 0
      if (!isOpen && !mayGoOn(record, taken, clock.now())) {
        await claim.leave(false)
        if (!record.listed) await agents.list(tenant, agent, record)
        await relay(tenant, agent)
        await due.settle(tenant, agent, dueAt, dueOf(record.status, record.state, record.drive, clock.now()))
        return steps
      }
      let caller: Caller | HubError
      try {
        caller = await admission.recall(tenant, record.keyId, 'agent-step')
      } catch (error) {
        if (mayPass(error)) {
          await put(claim, error)
          throw error
        }
        caller = toHubError(error) // the step fails by it
      }
      const drive = record.operation ? record.drive : true
      const done = await run({ ...call, caller, claim, drive })
      steps++
      const isOver = left?.aborted || clock.now() >= untilMs || steps >= mostSteps
      const goesOn = !isOver && drive && done.step.status === 'running'
      await settle({ ...call, dueAt, drive }, done, goesOn)
      if (!goesOn) return steps
    }
  }

  async function run(
    call: AgentCall & { caller: Caller | HubError; claim: StepClaim; drive: boolean },
  ): Promise<StepDone> {
    const { claim, caller, drive, defer } = call
    const signal = AbortSignal.any([call.signal, AbortSignal.timeout(LONGEST_STEP_MS)])
    try {
      return await runStep({ claim, caller, drive, signal, defer })
    } catch (error) {
      await put(claim, error)
      throw error
    }
  }

  /** Of an agent that has nothing to do for this caller: what another one began is left to whoever is free. */
  async function giveBack({ tenant, agent, defer }: AgentCall, { record, dueAt, leave }: StepClaim) {
    const isAnothers = record.attempts > 1
    await leave(isAnothers)
    const next = dueOf(record.status, record.state, record.drive, clock.now())
    defer(isAnothers ? due.now(tenant, agent) : due.settle(tenant, agent, dueAt, next))
  }

  /** Gives the claim back; the step is begun again later. Where Redis is away, its end says so. */
  async function put(claim: StepClaim, error: unknown) {
    const { tenant, agent, record, dueAt } = claim
    const waitMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (record.attempts - 1))
    await claim
      .leave(true)
      .then(() =>
        due.settle(tenant, agent, dueAt, clock.now() + (mayPass(error) ? waitMs : LONGEST_RETRY_MS)),
      )
      .catch(() => {})
  }

  /** What follows a step: its messages are sent, and when the agent is due next is said, unless its runner `goesOn` at once. */
  async function settle(
    { tenant, agent, dueAt, drive }: AgentCall & { dueAt: number; drive: boolean },
    done: StepDone,
    goesOn: boolean,
  ) {
    const { status } = done.step
    let next = done.inbox > 0 ? clock.now() : dueOf(status, done.state, drive, clock.now())
    if (goesOn && status === 'running') next = dueAt
    try {
      await relay(tenant, agent)
    } catch (error) {
      await due.settle(tenant, agent, dueAt, Math.max(next ?? 0, clock.now() + RELAY_RETRY_MS))
      throw error
    }
    await due.settle(tenant, agent, dueAt, next)
    if (next !== undefined && next <= clock.now()) await due.now(tenant, agent)
  }

  /** The latest that the journal has. */
  async function lastStep(tenant: string, agent: string): Promise<StepRecord | undefined> {
    const reply = await send(redis, ['XREVRANGE', agentKeys(tenant, agent).steps, '+', '-', 'COUNT', 1], {
      timeoutMs: 2_000,
    })
    return readSteps(reply as StreamReply)[0]
  }
}

export type Drive = ReturnType<typeof createDrive>

function refusalOf(begun: Exclude<Begun, { kind: 'begun' | 'known' }>, agent: string): HubError {
  if (begun.kind === 'gone') return unknownAgent(agent)
  if (begun.kind === 'busy') {
    return new HubError({
      code: 'step_running',
      status: 409,
      message: `Another step of \`${agent}\` runs. Ask again with the same Idempotency-Key, or send a message: it is taken up next.`,
      retryAfterSeconds: begun.ms / 1_000,
    })
  }
  if (begun.kind === 'decided') {
    return new HubError({
      code: 'nothing_to_decide',
      status: 409,
      message: `No tool call of \`${agent}\` waits for a person: somebody has decided already.`,
      param: 'decisions',
    })
  }
  return new HubError({
    code: 'decision_needed',
    status: 409,
    message: `Tool calls of \`${agent}\` wait for a person: GET /v1/agents/${agent} shows them. Send \`decisions\`.`,
    param: 'decisions',
  })
}
