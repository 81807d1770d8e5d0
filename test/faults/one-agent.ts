import { onTestFinished } from 'vitest'
import { AGENTS_DUE_KEY } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import { unique } from '../support/app.ts'
import { until } from '../support/hub.ts'
import { type Behaviour, startProvider } from '../support/provider.ts'
import { startReceiver } from '../support/receiver.ts'
import { createMortalHub } from './mortal-hub.ts'

/** As a provider is told. */
export interface Said {
  role: string
  content: string
  tool_calls?: { id: string; function: { name: string; arguments: string } }[]
  tool_call_id?: string
}

/** An agent of a model that answers so, whatever it was asked before; `done` by default. */
export async function oneAgent(
  { redis, url, ...more }: { redis: Redis; url: string; claimSeconds?: string; adminKey?: string },
  answer: (messages: Said[]) => Behaviour | undefined = () => undefined,
) {
  const { claimSeconds = '15' } = more
  const provider = await startProvider({
    text: 'done',
    behave: (_, { messages = [] }) => answer(messages as Said[]),
  })
  onTestFinished(provider.close)
  const env = {
    OPENAI_BASE_URL: provider.url,
    REDIS_URL: url,
    HUB_CLAIM_SECONDS: claimSeconds,
    HUB_ADMIN_KEY: more.adminKey,
  }
  const newHub = (more = {}) => createMortalHub({ redis, env, ...more })
  const hub = newHub()
  const id = unique('agent')
  const path = `/v1/agents/${id}`
  const asks = () =>
    provider.requests.flatMap(({ body }) => (body.messages ? [body as { messages: Said[] }] : []))
  return {
    ...{ hub, newHub, id, path, asks },
    put: (settings: object = {}, name = id) =>
      hub.ask('PUT', `/v1/agents/${name}`, { role: 'custom', model: 'openai/gpt-4o-mini', ...settings }),
    step: (body: unknown = {}, key?: string, by = hub) =>
      by.ask('POST', `${path}/steps`, body, key === undefined ? {} : { 'idempotency-key': key }),
    send: (message: object, key?: string) =>
      hub.ask('POST', `${path}/messages`, message, key === undefined ? {} : { 'idempotency-key': key }),
    get: async (more = '') => (await hub.ask('GET', path + more)).body,
    /** When it is due: Unix ms. */
    async dueAt() {
      const [score] = await redis.wave([['ZSCORE', AGENTS_DUE_KEY, `default/${id}`]], { timeoutMs: 5_000 })
      return score === null ? undefined : Number(score)
    },
    /** Whoever is free works until then. */
    async workUntil(what: string, look: () => Promise<boolean>) {
      const stopping = new AbortController()
      const work = hub.work(stopping.signal)
      await until(what, look).finally(() => stopping.abort())
      await work
      await hub.settled()
    },
  }
}

/** A model's answer. */
export const calling = (...calls: [name: string, args: object | string][]): Behaviour => ({
  toolCalls: calls.map(([name, args]) => ({
    name,
    arguments: typeof args === 'string' ? args : JSON.stringify(args),
  })),
})

export const hasResults = (messages: Said[]) => messages.some(({ role }) => role === 'tool')

/** A caller's own tool `act`. */
export async function startAct(answer?: Parameters<typeof startReceiver>[0], more: object = {}) {
  const receiver = await startReceiver(answer)
  onTestFinished(receiver.close)
  const tool = { type: 'webhook', name: 'act', url: receiver.url, allow_private: true, ...more }
  return { ...receiver, tool }
}

/** Whether a call to Redis runs this script. */
export const runs = (script: string) => (calls: readonly (object | readonly unknown[])[]) =>
  calls.some((call) => 'script' in call && (call.script as { name: string }).name === script)
