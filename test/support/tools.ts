import type { TestContext } from 'vitest'
import { readEnv } from '../../infra/env.ts'
import { connectRedis } from '../../infra/wire.ts'
import { wireRetrieval } from '../../infra/wire-retrieval.ts'
import { createAdmission } from '../../shared/admission.ts'
import type { Waiting } from '../../shared/agents/agent.ts'
import type { Effect, ToolCallContext, ToolOutcome, ToolSetting } from '../../shared/agents/tools/tool.ts'
import { ToolSettings } from '../../shared/agents/tools/tool-settings.ts'
import { createTools, type ToolsOptions } from '../../shared/agents/tools/tools.ts'
import { createCacheRoom } from '../../shared/cache-room.ts'
import { createAnswer } from '../../shared/completions/answer.ts'
import type { CompletionRequest } from '../../shared/completions/completion-look.ts'
import type { Completed } from '../../shared/completions/completions.ts'
import { createOutgoingNode } from '../../shared/drivers/outgoing-node.ts'
import { createKeyring } from '../../shared/hub-keys.ts'
import { createBudgets } from '../../shared/metering/budgets.ts'
import { createHolds } from '../../shared/metering/holds.ts'
import { createLimits } from '../../shared/metering/limits.ts'
import { createTally } from '../../shared/metering/tally.ts'
import { createUsage } from '../../shared/metering/usage.ts'
import { createBreakers } from '../../shared/models/breakers.ts'
import { createAsk } from '../../shared/retrieval/ask.ts'
import { createCitedAnswers } from '../../shared/retrieval/cited-answers.ts'
import { createSecrets } from '../../shared/secrets.ts'
import { unique } from './app.ts'
import { startProvider } from './provider.ts'
import { testRedisUrl } from './redis.ts'
import { POLICY } from './router.ts'

export interface TestToolsOptions extends Partial<ToolsOptions> {
  /** What the model says to a question of `ask`, of its prompt. */
  answer?: (prompt: string) => string
}

/** Tools of an agent of the test's own, over the real Redis, real retrieval and real connections. */
export async function startTools(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  { answer = () => '', ...more }: TestToolsOptions = {},
) {
  const provider = await startProvider()
  const variables = { REDIS_URL: testRedisUrl(), OPENAI_API_KEY: 'sk-test', OPENAI_BASE_URL: provider.url }
  const env = readEnv({ ...variables, HUB_EMBEDDING_MODEL: 'openai/text-embedding-3-small' })
  const log = { info() {}, error() {} }
  const connections = connectRedis(env, log)
  const { redis, cacheRedis, vectorRedis } = connections
  onTestFinished(async () => {
    const all = new Set([redis, cacheRedis, ...Object.values(vectorRedis), connections.blockingRedis])
    await Promise.all([...all].map((one) => one?.close()))
    await provider.close()
  })
  const clock = Date
  const limits = createLimits(redis)
  const countTokens = async (text: string) => text.length / 4
  const usage = createUsage({ redis, tally: createTally({ redis, delayMs: 0 }), clock, keptDays: 1 })
  const budgets = createBudgets({ redis, reservationMs: 60_000 })
  const room = createCacheRoom({ redis: cacheRedis, shared: true, clock })
  const retrieval = wireRetrieval({
    ...connections,
    ...{ env, room, countTokens, clock, providerOptions: { env: variables, silenceMs: 5_000 } },
    rim: { sharesRequests: true, tallyDelayMs: 0, log },
    holds: createHolds({ limits, budgets, usage, clock }),
    admission: createAdmission({ redis, keyring: createKeyring('of this test'), limits, clock }),
  })
  const { search, documents, indexes } = retrieval.deps
  const ask = createAsk({
    ...{ search, documents, countTokens, defaultModel: 'openai/gpt-4o-mini' },
    complete: async ({ request }) => completed(answer(JSON.stringify(request.messages)), request),
    citedAnswers: createCitedAnswers({ redis, cacheRedis, hashOf: async () => unique('hash'), documents }),
  })
  const errors: unknown[] = []
  const tools = createTools({
    ...{ redis, cacheRedis, room, clock, search, ask, indexes, documents },
    outgoing: createOutgoingNode({ silenceMs: 10_000 }),
    breakers: createBreakers({ redis, policy: POLICY, delayMs: 0, clock }),
    secrets: createSecrets('a key of the tests'),
    memory: { remember: missing, recall: missing },
    knowledge: { get: missing, put: missing },
    onError: (line) => errors.push(line),
    ...more,
  })

  const tenant = unique('tenant')
  const agent = 'agent'
  const deferred: Promise<unknown>[] = []
  const caller: ToolCallContext['caller'] = {
    ...{ tenant, keyId: null, scopes: null, models: null, channels: null },
    ...{ requestLimits: [], tokenLimits: [], budgets: [] },
  }
  const context: ToolCallContext = {
    ...{ tenant, agent, caller, step: 3, idempotencyKey: `${agent}/i1/3/0` },
    signal: new AbortController().signal,
    defer: (work) => void deferred.push(work),
  }
  /** As `PUT /v1/agents/{id}` does it, and as a step opens them. */
  const open = (settings: unknown[], owner: Partial<ToolCallContext> = {}) => {
    const sealed = tools.seal(tenant, agent, ToolSettings.parse(settings) as ToolSetting[])
    return tools.open(sealed, { ...context, ...owner })
  }
  return {
    ...{ tools, redis, tenant, agent, caller, context, errors, open, indexes: retrieval.deps.indexes },
    /** One tool, and what a call of it gives. */
    async tool(setting: unknown) {
      const [tool] = [...(await open([setting])).values()]
      return (args: unknown, more: Partial<ToolCallContext> = {}): Promise<Said> =>
        tool!.run(typeof args === 'string' ? args : JSON.stringify(args), { ...context, ...more })
    },
    /** What was deferred is done. */
    async settled() {
      while (deferred.length > 0) await Promise.all(deferred.splice(0))
    },
  }
}

/** `ToolOutcome` without the need to look at its status first. */
type Said = ToolOutcome & { cached?: boolean; effects?: readonly Effect[]; wait?: Waiting }

const missing = async (): Promise<never> => {
  throw new Error('This test has none')
}

function completed(content: string, { model }: CompletionRequest): Completed {
  const answer = createAnswer(() => {})
  const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }]
  answer.begin().push({ form: 'completion', data: JSON.stringify({ id: 'c', model, choices, usage: {} }) })
  answer.end()
  return { kind: 'answer', answer, headers: {} }
}
