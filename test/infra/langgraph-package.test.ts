import { execFile } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { createCheckpointSaver } from '../../infra/langgraph.ts'
import { buildLanggraphPackage } from '../../infra/langgraph-package.ts'
import { unique } from '../support/app.ts'
import { testRedisUrl } from '../support/redis.ts'

const root = join(import.meta.dirname, '../..')

const APPLICATION = `
import { Annotation, END, START, StateGraph } from '@langchain/langgraph'
import { createCheckpointSaver } from 'redis-ai-hub/langgraph'

const [url, tenant] = process.argv.slice(2)
const checkpointer = createCheckpointSaver({ url, tenant, ttlSeconds: 60 })
const messages = Annotation({ reducer: (all, more) => all.concat(more), default: () => [] })
const graph = new StateGraph(Annotation.Root({ messages }))
  .addNode('model', () => ({ messages: ['a tool call'] }))
  .addNode('tools', () => ({ messages: ['its result'] }))
  .addEdge(START, 'model')
  .addEdge('model', 'tools')
  .addEdge('tools', END)
  .compile({ checkpointer })
const end = await graph.invoke({ messages: ['hello'] }, { configurable: { thread_id: 't' } })
console.log(end.messages.join(', '))
await checkpointer.close()
`

it('the package runs a graph in an application that has not the hub, and again from where it ended', async () => {
  const application = mkdtempSync(join(tmpdir(), 'hub-application-'))
  onTestFinished(() => rmSync(application, { recursive: true }))
  const modules = join(application, 'node_modules')
  await buildLanggraphPackage(join(modules, 'redis-ai-hub'))
  const manifest = JSON.parse(readFileSync(join(modules, 'redis-ai-hub/package.json'), 'utf8'))
  const needed = { ...manifest.dependencies, ...manifest.peerDependencies, '@langchain/langgraph': '' }
  for (const name of Object.keys(needed)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  }
  writeFileSync(join(application, 'main.mjs'), APPLICATION)
  const tenant = unique('tenant')
  const run = async () => {
    const main = [join(application, 'main.mjs'), testRedisUrl(), tenant]
    return (await promisify(execFile)(process.execPath, main, { timeout: 15_000 })).stdout.trim()
  }
  expect(await run()).toBe('hello, a tool call, its result')
  expect(await run()).toBe('hello, a tool call, its result, hello, a tool call, its result')
  expect(readFileSync(join(modules, 'redis-ai-hub/langgraph.d.ts'), 'utf8')).toContain(
    'createCheckpointSaver',
  )
})

it('nothing else of the hub knows LangChain', () => {
  const files = ['functions', 'shared', 'infra'].flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).map((file) => join(room, file)),
  )
  const knowing = files.filter(
    (file) => file.endsWith('.ts') && /@langchain|\/langgraph\//.test(readFileSync(join(root, file), 'utf8')),
  )
  expect(knowing.filter((file) => !/^(infra\/langgraph|shared\/langgraph\/)/.test(file))).toEqual([])
})

it('says what of its options is wrong', () => {
  const wrong = (options: Partial<Parameters<typeof createCheckpointSaver>[0]>) => () =>
    createCheckpointSaver({ url: 'redis://127.0.0.1:6379', ...options })
  expect(wrong({ tenant: 'a b' })).toThrow(/tenant must be/)
  expect(wrong({ ttlSeconds: 0 })).toThrow(/ttlSeconds must be/)
  expect(wrong({ url: 'https://x.upstash.io' })).toThrow(/token is missing/)
  expect(wrong({ url: 'not a URL' })).toThrow(/The Redis URL is not one/)
})
