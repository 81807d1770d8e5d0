import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { buildHubPackage } from '../../infra/npm/hub-package.ts'
import { unique } from '../support/app.ts'
import { until } from '../support/hub.ts'
import { makePdf } from '../support/pdf.ts'
import { testRedisUrl } from '../support/redis.ts'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)

/** One that has the package, and nothing that npm would fetch for it. */
let application: string
beforeAll(async () => {
  application = mkdtempSync(join(tmpdir(), 'hub-application-'))
  const built = join(application, 'built')
  await buildHubPackage(built)
  const { stdout } = await run('npm', ['pack', built, '--json', '--silent'], { cwd: application })
  const [{ filename }] = JSON.parse(stdout)
  writeFileSync(join(application, 'package.json'), '{"type":"module","private":true}')
  const quietly = ['--offline', '--omit=optional', '--no-audit', '--no-fund']
  await run('npm', ['install', ...quietly, `./${filename}`], { cwd: application })
}, 120_000)
afterAll(() => application && rmSync(application, { recursive: true }))

/** As npm would have put it there. */
function bring(...names: string[]) {
  for (const name of names) {
    const place = join(application, 'node_modules', name)
    mkdirSync(dirname(place), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), place)
    onTestFinished(() => rmSync(place))
  }
}

/** The command, as a process of its own. */
function command(args: string[], { node = [] as string[], env = {} } = {}) {
  const bin = join(application, 'node_modules/.bin/redis-ai-hub')
  const child = spawn(process.execPath, [...node, bin, ...args], {
    ...{ cwd: application, stdio: ['ignore', 'pipe', 'pipe'] },
    env: { PATH: process.env.PATH, ...env },
  })
  const said = { out: '', err: '' }
  child.stdout!.setEncoding('utf8').on('data', (part: string) => {
    said.out += part
  })
  child.stderr!.setEncoding('utf8').on('data', (part: string) => {
    said.err += part
  })
  return { child, said, ended: once(child, 'close').then(([code]) => ({ code, ...said })) }
}

/** As an application without Node's types. */
function check(file: string) {
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const language = ['--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2023,dom']
  const options = ['--ignoreConfig', '--noEmit', '--types', '']
  return run(process.execPath, [tsc, file, ...options, ...language], { cwd: application })
}

it('installs without a network where its optional parts are left out, and needs nothing else', () => {
  const { packages } = JSON.parse(readFileSync(join(application, 'package-lock.json'), 'utf8'))
  const needed = Object.entries(packages as Record<string, { optional?: boolean; peer?: boolean }>)
    .filter(([, { optional, peer }]) => !optional && !peer)
    .map(([name]) => name)
  expect(needed).toEqual(['', 'node_modules/redis-ai-hub'])
})

it('starts a hub, asks it from the command line, and ends at SIGTERM', async () => {
  bring('@energetic-ai')
  const [redis, admin] = [testRedisUrl(), 'the-admin-key-of-the-package']
  const hub = command(['start', '--port', '0', '--redis', redis], { env: { HUB_ADMIN_KEY: admin } })
  onTestFinished(() => void hub.child.kill('SIGKILL'))
  const url = await until('the hub listens', () => {
    if (hub.child.exitCode !== null) throw new Error(hub.said.err)
    return /redis-ai-hub is ready: (\S+)/.exec(hub.said.out)?.[1]
  })
  const env = { HUB_URL: url, HUB_KEY: admin }
  const ask = (...args: string[]) => command(args, { env }).ended
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  expect(await ask('--version')).toMatchObject({ code: 0, out: `${version}\n` })
  const models = await ask('models', '--json')
  expect(JSON.parse(models.out).completions).toContainEqual(expect.objectContaining({ id: 'local/local' }))

  const index = unique('package')
  const place = join(application, 'documents')
  mkdirSync(place)
  writeFileSync(join(place, 'tower.md'), 'The Eiffel Tower stands in Paris. It was opened in 1889.')
  writeFileSync(join(place, 'page.pdf'), makePdf(['Honey never spoils.']))
  expect(await ask('ingest', place, '--index', index)).toMatchObject({ code: 0, err: '' })
  const { code, out } = await ask('ask', 'Where does the Eiffel Tower stand?', '--index', index)
  expect(code).toBe(0)
  expect(out).toMatch(/\[1\] tower\.md: “.*Paris/)

  hub.child.kill('SIGTERM')
  expect((await hub.ended).code).toBe(0)
}, 90_000)

/** As on Node 20. */
const OLD = "Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.3.0'}})"
const old = ['--import', `data:text/javascript,${encodeURIComponent(OLD)}`]

it('says what to install where Node is too old', async () => {
  const { code, err } = await command(['--version'], { node: old }).ended
  expect(code).toBe(1)
  expect(err).toContain('needs Node 24 or newer; this is Node 20.3.0')
})

it('runs on the Node that npm brought, and ends as it does', async () => {
  const name = `node-${process.platform}-${process.arch}`
  const brought = join(application, 'node_modules', name)
  mkdirSync(join(brought, 'bin'), { recursive: true })
  writeFileSync(join(brought, 'package.json'), JSON.stringify({ name }))
  symlinkSync(process.execPath, join(brought, 'bin/node'))
  onTestFinished(() => rmSync(brought, { recursive: true }))
  expect((await command(['--version'], { node: old }).ended).code).toBe(0)
  expect((await command(['aks'], { node: old }).ended).code).toBe(2)
  const hub = command(['start', '--port', '0', '--redis', testRedisUrl()], { node: old })
  onTestFinished(() => void hub.child.kill('SIGKILL'))
  await until('the hub listens', () => hub.said.out.includes('is ready'))
  hub.child.kill('SIGTERM')
  expect((await hub.ended).code).toBe(0)
})

it('has the client, with the types of its page’s example, and not of a wrong one', async () => {
  const main = "import { createHubClient } from 'redis-ai-hub/client'\nconsole.log(typeof createHubClient)"
  writeFileSync(join(application, 'main.mjs'), main)
  expect((await run(process.execPath, ['main.mjs'], { cwd: application })).stdout).toBe('function\n')

  const page = readFileSync(join(root, 'infra/docs/client.md'), 'utf8')
  const [, example = ''] = /```ts\n([\s\S]*?)```/.exec(page) ?? []
  expect(example).toContain("from 'redis-ai-hub/client'")
  writeFileSync(join(application, 'readme.ts'), example)
  await check('readme.ts')
  writeFileSync(join(application, 'wrong.ts'), example.replace('PUT /v1/config/', 'PUT /v1/konfig/'))
  await expect(check('wrong.ts')).rejects.toMatchObject({ stdout: expect.stringContaining('wrong.ts') })
}, 60_000)

const GRAPH = `
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

it('has a vector store of LangChain', async () => {
  bring('@langchain')
  const options = "{ url: 'http://127.0.0.1:9', index: 'docs' }"
  const main = `import { HubVectorStore } from 'redis-ai-hub/langchain'
const store = new HubVectorStore(${options})
console.log(typeof store.asRetriever().invoke, store._vectorstoreType())`
  writeFileSync(join(application, 'store.mjs'), main)
  const { stdout } = await run(process.execPath, ['store.mjs'], { cwd: application })
  expect(stdout).toBe('function redis-ai-hub\n')
  const types = join(application, 'node_modules/redis-ai-hub/types/langchain.d.ts')
  expect(readFileSync(types, 'utf8')).toContain('HubVectorStore')
  expect(readFileSync(types, 'utf8')).not.toMatch(/from ['"]\./)
})

it('runs a graph of LangGraph, and again from where it ended', async () => {
  bring('@langchain')
  writeFileSync(join(application, 'graph.mjs'), GRAPH)
  const tenant = unique('tenant')
  const invoke = async () => {
    const main = ['graph.mjs', testRedisUrl(), tenant]
    return (await run(process.execPath, main, { cwd: application, timeout: 30_000 })).stdout.trim()
  }
  expect(await invoke()).toBe('hello, a tool call, its result')
  expect(await invoke()).toBe('hello, a tool call, its result, hello, a tool call, its result')
  const types = join(application, 'node_modules/redis-ai-hub/types/langgraph.d.ts')
  expect(readFileSync(types, 'utf8')).toContain('createCheckpointSaver')
})
