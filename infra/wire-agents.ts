import type { Deps } from '../functions/deps.ts'
import { createAgentMail } from '../shared/agents/agent-mail.ts'
import { createAgentRunner } from '../shared/agents/agent-runner.ts'
import { createAgents } from '../shared/agents/agents.ts'
import { createDrive } from '../shared/agents/drive.ts'
import { createDue } from '../shared/agents/due.ts'
import { createKnowledge } from '../shared/agents/knowledge.ts'
import { createExtractMemories } from '../shared/agents/memory/extract-memories.ts'
import { createLongMemory, type LongMemoryOptions } from '../shared/agents/memory/long-memory.ts'
import { createOutbox } from '../shared/agents/outbox.ts'
import { createRunStep } from '../shared/agents/step.ts'
import { createStepClaims } from '../shared/agents/step-claim.ts'
import { createAskModel } from '../shared/agents/step-model.ts'
import { createTasks } from '../shared/agents/tasks/tasks.ts'
import { createTools, type ToolsOptions } from '../shared/agents/tools/tools.ts'
import { createBell } from '../shared/bell.ts'
import type { Completions } from '../shared/completions/completions.ts'
import type { ModelRouter } from '../shared/models/model-router.ts'
import type { CountTokens } from '../shared/ports/chat.ts'
import type { Realtime } from '../shared/realtime/realtime.ts'
import { eachMinute } from './each-minute.ts'
import type { Env } from './env.ts'
import type { Rim } from './wire.ts'
import type { Watch } from './wire-telemetry.ts'

interface Wired extends Omit<ToolsOptions, 'memory' | 'knowledge' | 'onError'>, LongMemoryOptions {
  complete: Completions
  modelRouter: ModelRouter
  countTokens: CountTokens
  realtime: Realtime
  env: Env
  rim: Rim
  watch?: Pick<Watch, 'tools' | 'runStep'>
}

/** A step costs some ten calls to Redis, where a runtime counts them. */
const CALLS_A_STEP = 15
/** Silence by which a step's runner is taken for dead, at most: its agent waits so long. */
const LONGEST_CLAIM_MS = 15_000
/** At most, each time: what is left is due again. */
const SWEEP = { ms: 20_000, entries: 1_000 }

/** Agents: their steps, memory, tools and tasks, and who works on them. */
export function wireAgents(wired: Wired) {
  const { redis, admission, complete, modelRouter, countTokens, realtime, clock, env, rim, watch } = wired
  const { drains, log } = rim
  const claimMs = Math.min(env.HUB_CLAIM_SECONDS * 1_000, LONGEST_CLAIM_MS)
  const mostSteps = rim.countsCalls ? Math.max(1, Math.floor(env.HUB_REDIS_CALLS / CALLS_A_STEP)) : undefined

  const bell = createBell()
  const due = createDue({ redis, clock, bell })
  const longMemory = createLongMemory(wired)
  const knowledge = createKnowledge({
    ...{ redis, realtime, clock },
    onError: (cause) => log.error({ msg: 'Knowledge', cause }),
  })
  const toolbox = createTools({
    ...{ ...wired, memory: longMemory, knowledge },
    onError: (line) => log.error({ msg: 'A tool failed', ...line }),
  })
  const tools = watch?.tools(toolbox) ?? toolbox
  // Tasks go to agents, and agents make tasks.
  const tasks = createTasks({
    ...{ redis, realtime, clock },
    agents: {
      deliver: (...message) => agents.deliver(...message),
      hasTask: (...task) => agents.hasTask(...task),
    },
    lookMs: claimMs,
    onError: (cause) => log.error({ msg: 'Tasks', cause }),
  })
  const agents = createAgents({ redis, tools, tasks, forgetAll: longMemory.drop, due, clock })
  const relay = createOutbox({
    ...{ redis, realtime, tasks, deliver: agents.deliver },
    onRefused: (line) => log.error({ msg: 'A message of an agent cannot be sent', ...line }),
  })
  const runStep = createRunStep({
    ...{ tools, countTokens, clock },
    askModel: createAskModel({
      complete,
      priceOf: async (tenant, model) => (await modelRouter.resolve(tenant, model)).target.price,
    }),
    extractMemories: createExtractMemories({ complete, memory: longMemory }),
    defaultModel: env.HUB_AGENT_MODEL ?? 'local/local',
  })
  const begin = createStepClaims({ redis, due, clock, claimMs })
  const agentDrive = createDrive({
    ...{
      redis,
      begin,
      runStep: watch?.runStep(runStep) ?? runStep,
      relay,
      due,
      admission,
      agents,
      clock,
      mostSteps,
    },
    ...(drains && { onSettled: () => drain(drains.kickMs) }),
  })
  const runner = createAgentRunner({ redis, drive: agentDrive, tasks, bell, clock, log, claimMs })
  const agentMail = createAgentMail({
    agents,
    onSent: (defer) => drains && defer(drain(drains.kickMs)),
  })

  async function drain(ms: number) {
    const steps = await runner.drain(ms, mostSteps)
    if (steps > 0) log.info({ msg: 'Agents took steps', steps })
  }

  /** What long-term memory left half done. */
  async function sweep(signal?: AbortSignal) {
    await longMemory
      .sweep({ untilMs: clock.now() + SWEEP.ms, limit: SWEEP.entries, signal })
      .catch((cause: unknown) => signal?.aborted || log.error({ msg: 'Sweep of memories', cause }))
  }

  return {
    deps: { agents, agentDrive, agentMail, longMemory, tasks, knowledge } satisfies Partial<Deps>,
    /** Until the signal aborts; where the runtime lives on between requests. */
    async run(signal: AbortSignal) {
      await Promise.all([runner.run(signal), eachMinute(sweep, signal)])
    },
    /** What the schedule does where it does not. */
    async drain() {
      if (!drains) return
      await Promise.all([drain(drains.scheduledMs), sweep()])
    },
  }
}
