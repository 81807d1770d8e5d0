import { expect } from 'vitest'
import type { StepRecord } from '../../shared/agents/agent.ts'
import { AGENTS_DUE_KEY, agentKeys, channelKeys, taskKeys } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import { startProvider } from '../support/provider.ts'
import { startReceiver } from '../support/receiver.ts'
import type { MortalHub } from './mortal-hub.ts'

/** A planner, who hears from it, and who works for it. */
export interface Crew {
  planner: string
  friend: string
  worker: string
  /** What a person said of the call that nobody knows the end of. */
  decision?: 'retry' | 'result'
}

export const agentsOf = ({ planner, friend, worker }: Crew) => [planner, friend, worker]

const crewOf = (name: string): Crew => ({
  planner: `planner-${name}`,
  friend: `friend-${name}`,
  worker: `worker-${name}`,
})

type Message = {
  role: string
  content: string | null
  tool_calls?: { id: string; function: { name: string } }[]
  tool_call_id?: string
}

const TENANT = 'default'
const CALLS = ['steady', 'once', 'send_message', 'assign_task', 'remember']

/**
 * What the scenario needs outside of the hub. The model's answer depends on the conversation alone: a retry asks again. The tool's server honours
 * the idempotency key: `effects` has each one's, `calls` how often it was called by it.
 */
export async function startOutside() {
  const calls = new Map<string, number>()
  const receiver = await startReceiver({
    answer(_, { headers, body }) {
      const key = headers['idempotency-key']!
      calls.set(key, (calls.get(key) ?? 0) + 1)
      return { text: `${body.data.tool} of ${key}` }
    },
  })
  const provider = await startProvider({
    behave(_, { messages = [] }) {
      const [first, ...rest] = messages as Message[]
      const crew = /^Planner of (\S+)\./.exec(first?.content ?? '')?.[1]
      if (!crew || rest.some(({ tool_calls }) => tool_calls))
        return { text: `Noted: ${rest.at(-1)?.content ?? ''}`.slice(0, 300) }
      const { friend, worker } = crewOf(crew)
      const args: Record<string, object> = {
        steady: { n: 1 },
        once: { n: 2 },
        send_message: { to: friend, message: `psst from ${crew}` },
        assign_task: { to: worker, input: `work for ${crew}` },
        remember: { text: `The favourite number of ${crew} is 7.` },
      }
      return { toolCalls: CALLS.map((name) => ({ name, arguments: JSON.stringify(args[name]) })) }
    },
  })
  return {
    ...{ calls, provider, receiver },
    env: { OPENAI_BASE_URL: provider.url, HUB_EMBEDDING_MODEL: 'openai/text-embedding-3-small' },
    /** The conversations that the model was told, each without the system message. */
    asks: () =>
      provider.requests.flatMap(({ body }) => {
        const messages = body.messages as Message[] | undefined
        return messages ? [messages.filter(({ role }) => role !== 'system')] : []
      }),
    async makeCrew(hub: MortalHub, name: string): Promise<Crew> {
      const crew = crewOf(name)
      const model = 'openai/gpt-4o-mini'
      const webhook = { type: 'webhook', url: receiver.url, allow_private: true, description: 'Acts.' }
      const tools = [
        { ...webhook, name: 'steady', idempotent: true },
        { ...webhook, name: 'once' },
        ...['send_message', 'assign_task', 'remember'],
      ]
      await Promise.all([
        made(hub, crew.planner, { role: 'planner', model, tools, instructions: `Planner of ${name}.` }),
        made(hub, crew.friend, { role: 'custom', model }),
        made(hub, crew.worker, { role: 'executor', model, topics: [name] }),
      ])
      return crew
    },
    async close() {
      await Promise.all([provider.close(), receiver.close()])
    },
  }
}

export type Outside = Awaited<ReturnType<typeof startOutside>>

async function made(hub: MortalHub, id: string, settings: object) {
  expect(await hub.ask('PUT', `/v1/agents/${id}`, settings)).toMatchObject({ status: 200 })
}

/** Whatever waits for a time waits no more; neither do those who wait for the death of who works on these agents. */
export async function passTime(redis: Redis, agents: readonly string[] = []) {
  const due = await members(redis, AGENTS_DUE_KEY)
  const tasksDue = taskKeys(TENANT).due
  const tasks = await members(redis, tasksDue)
  const replies = await redis.wave(
    [
      ...due.map((member) => ['ZADD', AGENTS_DUE_KEY, 'XX', 1, member] as const),
      ...tasks.map((id) => ['ZADD', tasksDue, 'XX', 1, id] as const),
      ...agents.map((id) => ['HSET', agentKeys(TENANT, id).agent, 'until', 1] as const),
    ],
    { timeoutMs: 10_000 },
  )
  for (const reply of replies) if (reply instanceof Error) throw reply
}

/** Nobody looks after agents until time passes. */
export async function stopTime(redis: Redis) {
  const later = Date.now() + 3_600_000
  const due = await members(redis, AGENTS_DUE_KEY)
  if (due.length > 0)
    await redis.wave(
      due.map((member) => ['ZADD', AGENTS_DUE_KEY, 'XX', later, member]),
      { timeoutMs: 10_000 },
    )
}

const members = async (redis: Redis, key: string) =>
  (await redis.wave([['ZRANGE', key, 0, -1]], { timeoutMs: 5_000 }))[0] as string[]

/** Neither an agent nor a task has to be looked after. */
export async function isIdle(redis: Redis): Promise<boolean> {
  const due = await Promise.all([AGENTS_DUE_KEY, taskKeys(TENANT).due].map((key) => members(redis, key)))
  return due.flat().length === 0
}

const fieldOf = (fields: string[], name: string) => fields[fields.indexOf(name) + 1]!

async function entries<T>(redis: Redis, stream: string, field: string): Promise<T[]> {
  const [reply] = await redis.wave([['XRANGE', stream, '-', '+']], { timeoutMs: 10_000 })
  return (reply as [string, string[]][]).map(([, fields]) => JSON.parse(fieldOf(fields, field)))
}

/** What the channels have told of every crew. */
export async function readChannels(redis: Redis) {
  const [tasks, events] = await Promise.all(
    ['agent:tasks', 'agent:events'].map((channel) =>
      entries<Record<string, unknown>>(redis, channelKeys(TENANT, channel).stream, 'data'),
    ),
  )
  return { tasks: tasks!, events: events! }
}

/** Of a crew whose processes died: all that was to happen has happened, once. Resolves with the planner's journal. */
export async function checkCrew(
  redis: Redis,
  hub: MortalHub,
  outside: Outside,
  crew: Crew,
  channels: Awaited<ReturnType<typeof readChannels>>,
) {
  const journals = Object.fromEntries(
    await Promise.all(agentsOf(crew).map(async (id) => [id, await checkAgent(redis, hub, id)] as const)),
  )
  const steps = journals[crew.planner]!
  expect(steps.at(-1)?.status, crew.planner).toBe('done')

  // Each key has one effect, as its tool honours it. What does not say so of itself is called once, unless a person says `retry`.
  const callsOf = (n: number) => [...outside.calls].filter(([key]) => matchKey(key, crew.planner, n))
  const [steady, once] = [callsOf(0), callsOf(1)]
  expect(steady, crew.planner).toHaveLength(1)
  expect(once.length, crew.planner).toBeLessThanOrEqual(1)
  const most = crew.decision === 'retry' ? 2 : 1
  const least = crew.decision === 'result' ? 0 : 1
  const calls = once[0]?.[1] ?? 0
  expect(calls, `${crew.planner} ${crew.decision}`).toBeLessThanOrEqual(most)
  expect(calls, `${crew.planner} ${crew.decision}`).toBeGreaterThanOrEqual(least)

  const memory = await memoryOf(redis, crew.planner)
  expect(count(memory, /^Result of task/), crew.planner).toBe(1)
  expect(count(memory, /(^|\n)begin/), crew.planner).toBe(1)
  expect(count(await memoryOf(redis, crew.friend), /^Message from agent/), crew.friend).toBe(1)
  expect(count(await memoryOf(redis, crew.worker), /^Task \S+ from agent/), crew.worker).toBe(1)

  const [results] = await redis.wave([['LRANGE', taskKeys(TENANT).results(crew.planner), 0, -1]])
  expect(results, crew.planner).toHaveLength(1)
  const { task } = JSON.parse((results as string[])[0]!)
  // Once for each attempt; whoever died before he told of the first one may have told of the second one only.
  const offers = channels.tasks.flatMap((one) => (one.task === task ? [one.attempt] : []))
  expect(offers.length, crew.worker).toBeGreaterThan(0)
  expect(offers, crew.worker).toEqual([...new Set(offers)])
  expect(
    channels.events.filter((one) => one.task === task && one.planner !== undefined && !('step' in one)),
  ).toHaveLength(1)
  const { body } = await hub.ask('GET', `/v1/agents/${crew.planner}/memory`)
  expect(body.data, crew.planner).toHaveLength(1)
  return steps
}

const matchKey = (key: string, agent: string, n: number) =>
  key.startsWith(`${agent}/`) && key.endsWith(`/${n}`)

async function memoryOf(redis: Redis, id: string) {
  return entries<Message>(redis, agentKeys(TENANT, id).memory, 'message')
}

const count = (messages: readonly Message[], text: RegExp) =>
  messages.filter(({ role, content }) => role === 'user' && text.test(content ?? '')).length

/** The journal has no gap, each step one version; nothing is held, nothing is left to send; memory is in order. */
async function checkAgent(redis: Redis, hub: MortalHub, id: string) {
  const { body } = await hub.ask('GET', `/v1/agents/${id}/steps?limit=1000`)
  const steps = body.data as StepRecord[]
  expect(
    steps.map(({ step }) => step),
    id,
  ).toEqual(steps.map((_, i) => i + 1))
  expect(
    steps.map(({ version }) => version),
    id,
  ).toEqual(steps.map((_, i) => i + 2))
  for (const [i, { messages, status }] of steps.entries())
    expect(messages.length > 0 || steps[i - 1]?.status === 'running', `${id} ${i + 1} ${status}`).toBe(true)
  const { body: agent } = await hub.ask('GET', `/v1/agents/${id}`)
  expect([agent.steps, agent.version], id).toEqual([steps.length, steps.length + 1])
  const keys = agentKeys(TENANT, id)
  const [held, ...left] = await redis.wave([
    ['HMGET', keys.agent, 'run', 'open', 'attempts', 'pending', 'task'],
    ['EXISTS', keys.calls],
    ['XLEN', keys.outbox],
    ['XLEN', keys.inbox],
  ])
  expect(held, id).toEqual([null, null, null, null, null])
  expect(left, id).toEqual([0, 0, 0])
  const memory = await memoryOf(redis, id)
  const asked = memory.flatMap(({ tool_calls = [] }) => tool_calls.map((call) => call.id))
  const answered = memory.flatMap(({ tool_call_id }) => tool_call_id ?? [])
  expect(answered.toSorted(), id).toEqual(asked.toSorted())
  return steps
}

/** As providers want it: the answers to its calls right behind each message that has some, and no others. */
export function checkOrder(messages: readonly Message[], what: string) {
  for (let i = 0; i < messages.length; i++) {
    const { role, tool_calls = [] } = messages[i]!
    expect(role, `${what}: a result without a call: ${JSON.stringify(messages)}`).not.toBe('tool')
    const answers = messages.slice(i + 1, i + 1 + tool_calls.length)
    expect(
      answers.map(({ role, tool_call_id }) => `${role} ${tool_call_id}`),
      what,
    ).toEqual(tool_calls.map((call) => `tool ${call.id}`))
    i += tool_calls.length
  }
}
