import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { RedisServer } from '../../infra/local-redis/redis-server.ts'
import { startRedis } from '../../infra/local-redis/run-redis.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { AGENTS_DUE_KEY, agentKeys, channelKeys, taskKeys } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import { ADMIN_KEY, startHub, startHubs } from './hub-process.ts'
import { type AskHub, readAnswer, startJobTools } from './job-tools.ts'

export interface AgentJobOptions {
  /** Between two kills, ms at most. Default 1,000. */
  killEveryMs?: number
  server: RedisServer
  report?: (line: string) => void
}

export interface AgentJobReport {
  documents: number
  tasks: number
  done: number
  questions: number
  /** Questions with an answer whose every citation stands in its document at its offsets. */
  cited: number
  citations: number
  /** Answers in the report that was written. */
  reported: number
  steps: number
  /** Of all agents: steps that are missing or there twice. */
  gaps: number
  /** Calls that the tools got, their idempotency keys, and what was done under more than one of them: must be none. */
  tool_calls: number
  keys: number
  doubled: number
  /** Tasks that `agent:tasks` was not told of, or `agent:events` not once of their end. */
  untold: number
  /** Results in the planner's list. */
  results: number
  /** Agents that have something left, or are held. */
  stuck: number
  kills: number
  seconds: number
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const SOURCES = ['README.md', 'infra/docs', 'infra/gateways/README.md']
/** Characters of a page that a document is cut into: a process must live long enough to embed it. */
const PAGE = 4_000
const QUESTIONS = [
  'How long are whole answers stored in the cache?',
  'What does HUB_CLAIM_SECONDS say about a consumer that says nothing?',
  'How does GitHub sign a webhook, and what guards against a replay?',
  'How many bytes may an event have?',
  'What happens after five executors of a task were lost?',
  'Who may set allow_private for private addresses of tools?',
  'What maxmemory-policy does a Redis server for state want?',
  'How far off may a signed time of a webhook be?',
  'Which key does a provider like openai need to be set?',
  'What does 503 or 429 of the events intake carry?',
]
const INDEX = 'folder'
const REPORT = 'report.md'
const EXECUTORS = ['ada', 'bob', 'cyd']
const LONGEST_MS = 90_000
const PATIENT = { timeoutMs: 10_000 }

/**
 * A planner and three executors index a folder, answer ten questions about it with citations and write a report, in four hubs of which one is
 * killed at random again and again; then everything is counted. Nobody but the local model thinks.
 */
export async function runAgentJob(options: AgentJobOptions): Promise<AgentJobReport> {
  const { killEveryMs = 1_000, server, report = () => {} } = options
  const started = performance.now()
  const directory = await mkdtemp(join(tmpdir(), 'hub-job-'))
  const local = await startRedis({ server, directory, port: 0 })
  const redis = createRedisResp({ url: local.url })
  const hubs = await startHubs(4, () =>
    startHub(local.url, {
      ...{ HUB_CLAIM_SECONDS: '2', FUNCTIONS: 'agent-step,search,ask,embed,cache-complete' },
      ...{ HUB_EMBEDDING_MODEL: 'local', HUB_BREAKER_MIN_CALLS: '1000000' },
    }),
  )
  const ask: AskHub = (...call) => askAny(hubs.any, ...call)
  const folder = join(directory, 'folder')
  const files = await fillFolder(folder)
  const tools = await startJobTools({ ask, folder, index: INDEX, report: join(directory, REPORT) })
  try {
    await ask('PUT', `/v1/indexes/${INDEX}`, { fields: {}, embedding_model: 'local' })
    await putAgents(ask, tools.url, files)
    hubs.harass(killEveryMs)
    for (let status = ''; status !== 'done'; await sleep(300)) {
      // The client asks by one key until its planner is done: whoever it asked may have died.
      const input = { input: 'Do the job.', until: 'done', stream: false }
      const step = (await ask('POST', '/v1/agents/planner/steps', input, 'the job')) as {
        status: string
        error?: unknown
      }
      status = step.status
      report(`${Math.round((performance.now() - started) / 1_000)} s: ${status}, ${hubs.kills} kills`)
      if (status === 'failed') throw new Error(`The planner failed: ${JSON.stringify(step.error)}`)
      if (performance.now() - started > LONGEST_MS) {
        const { data } = (await ask('GET', '/v1/tasks?limit=200')) as any
        for (const t of data.toReversed()) console.error(t.created_at.slice(14), t.updated_at.slice(14), t.status, t.attempt, t.executor, t.input.slice(0,60).replace('\n',' '))
        for (const id of ['planner', ...EXECUTORS]) { const { data } = (await ask('GET', '/v1/agents/'+id+'/steps?limit=200')) as any; console.error(id, JSON.stringify(await ask('GET', '/v1/agents/'+id)).slice(-500)); for (const s of data) console.error(id, s.step, s.status, s.started_at, s.finished_at, s.tool_calls.map((c: any) => c.name+' '+c.status+' '+c.output.slice(0, 100)+c.ms)) }
        console.error([...tools.effects].map(([k, e]) => k + ' ' + e.calls + ' ' + e.what))
      }
      if (performance.now() - started > LONGEST_MS) throw new Error('The job is not done')
    }
    const { kills } = hubs
    await hubs.relent()
    await untilIdle(redis)
    const seconds = Math.round((performance.now() - started) / 100) / 10
    return { ...(await count({ redis, ask, effects: tools.effects, directory, files })), kills, seconds }
  } finally {
    await hubs.relent()
    await hubs.stop()
    tools.close()
    await redis.close()
    await local.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

/** Real documents, cut into pages at their paragraphs. Resolves with the names of the files. */
async function fillFolder(folder: string): Promise<string[]> {
  await mkdir(folder)
  const found = await Promise.all(
    SOURCES.map(async (path) => {
      if (path.endsWith('.md')) return [path]
      return (await readdir(join(root, path)))
        .filter((name) => name.endsWith('.md'))
        .map((name) => join(path, name))
    }),
  )
  const files: string[] = []
  for (const path of found.flat()) {
    const pages = ['']
    for (const paragraph of (await readFile(join(root, path), 'utf8')).split('\n\n')) {
      if (pages.at(-1)!.length + paragraph.length > PAGE) pages.push('')
      pages[pages.length - 1] += `${paragraph}\n\n`
    }
    for (const [n, page] of pages.filter((page) => page !== '').entries()) {
      const name = `${path.replaceAll('/', '-').replace(/\.md$/, '')}-${n + 1}.md`
      await writeFile(join(folder, name), page)
      files.push(name)
    }
  }
  return files
}

async function putAgents(ask: AskHub, url: string, files: readonly string[]) {
  const webhook = (name: string, required: string[]) => ({
    ...{ type: 'webhook', name, url, allow_private: true, idempotent: true, retries: 2, timeout_seconds: 60 },
    parameters: { type: 'object', properties: { file: { type: 'string' } }, required },
  })
  for (const id of EXECUTORS) {
    await ask('PUT', `/v1/agents/${id}`, {
      ...{ role: 'executor', model: 'local/local', instructions: 'You do what a task says.' },
      tools: [
        webhook('index_file', ['file']),
        webhook('write_report', []),
        { type: 'builtin', name: 'ask', index: INDEX },
      ],
    })
  }
  const give = (what: string, tool: string, args: object) =>
    `@tool assign_task ${JSON.stringify({ input: `${what}\n@tool ${tool} ${JSON.stringify(args)}` })}`
  const wait = '@tool wait {"for":"tasks"}'
  await ask('PUT', '/v1/agents/planner', {
    ...{ role: 'planner', model: 'local/local', tools: ['assign_task', 'wait'] },
    limits: { steps: 200 },
    memory: { max_tokens: 1_000_000 },
    instructions: [
      'You have a folder indexed, questions about it answered, and a report written.',
      ...files.map((file) => give(`Index ${file}.`, 'index_file', { file })),
      wait,
      ...QUESTIONS.map((question) => give('Answer from the folder.', 'ask', { question })),
      wait,
      give('Write the report.', 'write_report', {}),
      wait,
    ].join('\n'),
  })
}

async function untilIdle(redis: Redis) {
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; await sleep(200)) {
    const [due] = await redis.wave([['ZCARD', AGENTS_DUE_KEY]], PATIENT)
    if (due === 0) return
  }
}

type Counted = Omit<AgentJobReport, 'kills' | 'seconds'>
interface Left {
  redis: Redis
  ask: AskHub
  effects: Awaited<ReturnType<typeof startJobTools>>['effects']
  directory: string
  files: readonly string[]
}

async function count({ redis, ask, effects, directory, files }: Left): Promise<Counted> {
  const { data: tasks } = (await ask('GET', '/v1/tasks?limit=200')) as {
    data: { id: string; status: string; input: string; output?: unknown }[]
  }
  const answers = tasks.flatMap(({ input, output }) => readAnswer(input, output) ?? [])
  let cited = 0
  for (const { citations } of answers) {
    const stands = await Promise.all(
      citations.map(async ({ document_id, quote, start, end }) => {
        const { text } = (await ask(
          'GET',
          `/v1/indexes/${INDEX}/documents/${encodeURIComponent(document_id)}`,
        )) as { text: string }
        const file = await readFile(join(directory, 'folder', document_id), 'utf8')
        return text === file && quote.length > 0 && text.slice(start, end) === quote
      }),
    )
    if (stands.length > 0 && !stands.includes(false)) cited++
  }
  const journals = await Promise.all(
    ['planner', ...EXECUTORS].map(async (id) => {
      const { data } = (await ask('GET', `/v1/agents/${id}/steps?limit=1000`)) as { data: { step: number }[] }
      const [[run, open], inbox, outbox] = (await redis.wave(
        [
          ['HMGET', agentKeys('default', id).agent, 'run', 'open'],
          ['XLEN', agentKeys('default', id).inbox],
          ['XLEN', agentKeys('default', id).outbox],
        ],
        PATIENT,
      )) as [(string | null)[], number, number]
      const isStuck = run !== null || open !== null || inbox + outbox > 0
      return { steps: data.length, gaps: data.filter(({ step }, i) => step !== i + 1).length, isStuck }
    }),
  )
  const offered = new Set((await told(redis, 'agent:tasks')).map(({ task }) => task))
  const ends = (await told(redis, 'agent:events')).flatMap(({ task, planner }) => (planner ? [task] : []))
  const [results] = await redis.wave([['LLEN', taskKeys('default').results('planner')]], PATIENT)
  const done = [...effects.values()].map(({ what }) => what)
  const written = await readFile(join(directory, REPORT), 'utf8').catch(() => '')
  return {
    ...{ documents: files.length, tasks: tasks.length, questions: QUESTIONS.length, cited },
    done: tasks.filter(({ status }) => status === 'done').length,
    citations: answers.reduce((sum, { citations }) => sum + citations.length, 0),
    reported: written.match(/^## /gm)?.length ?? 0,
    steps: journals.reduce((sum, { steps }) => sum + steps, 0),
    gaps: journals.reduce((sum, { gaps }) => sum + gaps, 0),
    tool_calls: [...effects.values()].reduce((sum, { calls }) => sum + calls, 0),
    keys: done.length,
    doubled: done.length - new Set(done).size,
    untold: tasks.filter(({ id }) => !offered.has(id) || ends.filter((task) => task === id).length !== 1)
      .length,
    results: results as number,
    stuck: journals.filter(({ isStuck }) => isStuck).length,
  }
}

/** What the stream behind a channel holds. */
async function told(redis: Redis, channel: string): Promise<{ task?: string; planner?: string }[]> {
  const [reply] = await redis.wave([['XRANGE', channelKeys('default', channel).stream, '-', '+']], PATIENT)
  return (reply as [string, string[]][]).map(([, fields]) => JSON.parse(fields[fields.indexOf('data') + 1]!))
}

/** As a client does that loses nothing: what nobody answered is sent again, to another instance. */
async function askAny(
  any: () => { url: string } | undefined,
  method: string,
  path: string,
  body?: unknown,
  key?: string,
): Promise<unknown> {
  let last = ''
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; await sleep(100)) {
    const hub = any()
    if (!hub) continue
    try {
      const reply = await fetch(hub.url + path, {
        method,
        headers: {
          ...{ authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
          ...(key !== undefined && { 'idempotency-key': key }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(30_000),
      })
      const text = await reply.text()
      if (reply.ok) return text ? JSON.parse(text) : undefined
      last = `${reply.status} ${text}`
      if (reply.status < 500 && ![408, 409, 429].includes(reply.status)) break
    } catch (error) {
      last = String(error)
    }
  }
  throw new Error(`${method} ${path}: ${last}`)
}
