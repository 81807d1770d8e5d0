import OpenAI from 'openai'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { unique } from '../support/app.ts'
import type { Behaviour } from '../support/provider.ts'
import { type Command, pursue } from './support/autogpt-loop.ts'
import { kickoff, type Member, type Task } from './support/crew.ts'
import { lastText, type ServedHub, saidOf, serveHub } from './support/served-hub.ts'

let hub: ServedHub
let client: OpenAI
const index = unique('library')
const MODEL = 'openai/gpt-4o-mini'
const BEES = 'A honey bee visits fifty flowers on one flight.'

beforeAll(async () => {
  hub = await serveHub({
    provider: { behave: (_, body) => (body.messages ? think(body) : undefined) },
  })
  client = new OpenAI({ baseURL: `${hub.url}/v1`, apiKey: hub.key, maxRetries: 0 })
  await hub.call('PUT', `/v1/indexes/${index}`, {}, hub.key)
  await hub.call('PUT', `/v1/indexes/${index}/documents/bees`, { text: BEES }, hub.key)
})
afterAll(() => hub[Symbol.asyncDispose]())

/** The provider's model: it plans by what it has been told so far, as a model does. */
function think(body: Record<string, unknown>): Behaviour {
  const system = String(saidOf(body)[0]!.content)
  if (system.includes('Thought:')) return { text: react(body, system) }
  const command = plan(body)
  if (!body.tools) return { text: JSON.stringify({ thoughts: { reasoning: 'Next.' }, command }) }
  return { toolCalls: [{ id: unique('call'), name: command.name, arguments: JSON.stringify(command.args) }] }
}

/** Search, write down what was found, finish with it. */
function plan(body: Record<string, unknown>) {
  const found = /visits (\w+) flowers/.exec(JSON.stringify(body.messages))?.[1]
  if (!found) return { name: 'search', args: { query: 'How many flowers does a bee visit?' } }
  if (!lastText(body).includes('noted')) return { name: 'note', args: { fact: 'flowers', value: found } }
  return { name: 'finish', args: { result: `A bee visits ${found} flowers.` } }
}

/** What a model writes past a stop sequence, it invents: a provider cuts it off there. */
function react(body: Record<string, unknown>, system: string): string {
  const said = JSON.stringify(body.messages)
  const task = /Current Task: ([^\\"]+)/.exec(said)?.[1]
  const found = /Observation: [^\\"]*visits (\w+) flowers/.exec(said)?.[1]
  const text = system.includes('a writer')
    ? `Thought: I can write.\nFinal Answer: ${/Context: ([^\\"]+)/.exec(said)?.[1]} Amazing!`
    : found
      ? `Thought: I know it.\nFinal Answer: It is ${found} (${task}).`
      : 'Thought: I look it up.\nAction: search\nAction Input: flowers of a bee\nObservation: none at all'
  const stops = body.stop as string[]
  return stops.reduce((cut, stop) => cut.split(stop)[0]!, text)
}

const search = async (query: string) => {
  const { data } = await client.vectorStores.search(index, { query })
  return data[0]?.content[0]?.text ?? 'Nothing.'
}

it.each(['text', 'functions'] as const)(
  'an AutoGPT-like loop reaches its goal, commands as %s',
  async (by) => {
    const topic = unique('bees')
    const ran: string[] = []
    const commands: Record<string, Command> = {
      search: {
        ...{ description: 'Search the library', args: ['query'] },
        run: ({ query = '' }) => {
          ran.push('search')
          return search(query)
        },
      },
      note: {
        ...{ description: 'Write down a fact for all agents', args: ['fact', 'value'] },
        async run({ fact = '', value = '' }) {
          ran.push('note')
          await hub.call('PUT', `/v1/knowledge/${topic}`, { [fact]: value }, hub.key)
          return `noted ${fact}`
        },
      },
    }
    const goal = {
      client,
      model: MODEL,
      role: `a researcher of ${topic}`,
      goal: 'Count flowers.',
      commands,
      by,
    }
    expect(await pursue(goal)).toBe('A bee visits fifty flowers.')
    expect(ran).toEqual(['search', 'note'])
    expect(await hub.call('GET', `/v1/knowledge/${topic}`, undefined, hub.key)).toMatchObject({
      facts: { flowers: { value: 'fifty' } },
    })
    const calls = hub.provider.count
    expect(await pursue(goal)).toBe('A bee visits fifty flowers.')
    expect(hub.provider.count).toBe(calls) // run again, every thought comes from the cache
  },
)

it('a CrewAI-like crew works through its tasks, by ReAct with stop sequences', async () => {
  const observed: string[] = []
  const researcher: Member = {
    ...{ role: 'a researcher', backstory: 'You look everything up.' },
    tools: {
      async search(input) {
        const found = await search(input)
        observed.push(found)
        return found
      },
    },
  }
  const writer: Member = { role: 'a writer', backstory: 'You write short sentences.', tools: {} }
  const name = unique('task')
  const tasks: Task[] = [
    { description: `${name} count`, expected: 'a number', member: researcher },
    { description: `${name} tell`, expected: 'one line', member: writer },
  ]
  const answers = [`It is fifty (${name} count).`, `It is fifty (${name} count). Amazing!`]
  expect(await kickoff(client, MODEL, tasks)).toEqual(answers)
  expect(observed).toEqual([BEES])
  const calls = hub.provider.count
  expect(await kickoff(client, MODEL, tasks)).toEqual(answers)
  expect(hub.provider.count).toBe(calls)
})

it('agents of several roles at the same time share what they ask alike', async () => {
  const name = unique('crowd')
  const member: Member = { role: `a writer of ${name}`, backstory: '', tools: {} }
  const task: Task = { description: name, expected: 'one line', member }
  const calls = hub.provider.count
  const crews = await Promise.all(Array.from({ length: 5 }, () => kickoff(client, MODEL, [task])))
  expect(new Set(crews.flat()).size).toBe(1)
  expect(hub.provider.count).toBe(calls + 1)
})
