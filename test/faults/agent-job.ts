import { copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { RedisServer } from '../../infra/local-redis/redis-server.ts'
import { startRedis } from '../../infra/local-redis/run-redis.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { AGENTS_DUE_KEY } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import { type AskHub, askAny, startHub, startHubs } from './hub-process.ts'
import { countJob, type JobCount } from './job-count.ts'
import { startJobTools } from './job-tools.ts'

export interface AgentJobOptions {
  /** Between two kills, ms at most. Default 2,000. */
  killEveryMs?: number
  server: RedisServer
  report?: (line: string) => void
}

export interface AgentJobReport extends JobCount {
  kills: number
  seconds: number
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const QUESTIONS = [
  'How many KiB may an event have?',
  'What carries Retry-After when a stream is full?',
  'How far off may a signed time be?',
  'What does GitHub sign neither of, so that a body can be sent again?',
  'What happens to a task after five executors were lost?',
  'When is a runner that says nothing taken for dead?',
  'Who may set allow_private for private addresses?',
  'Where is the secret of a webhook stored encrypted?',
  'What does PUBLISH do for those who are there?',
  'How long is a rule quiet after it fired?',
]
const INDEX = 'folder'
const EXECUTORS = ['ada', 'bob', 'cyd']
const LONGEST_MS = 180_000
const PATIENT = { timeoutMs: 10_000 }

/**
 * A planner and three executors index a folder, answer ten questions about it with citations and write a report, in four hubs of which one is
 * killed at random again and again; then everything is counted. Nobody but the local model thinks.
 */
export async function runAgentJob(options: AgentJobOptions): Promise<AgentJobReport> {
  const { killEveryMs = 2_000, server, report = () => {} } = options
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
  const reportFile = join(directory, 'report.md')
  const left = {
    ...{ redis, ask, folder, files, reportFile, index: INDEX, questions: QUESTIONS.length },
    agents: ['planner', ...EXECUTORS],
  }
  const tools = await startJobTools({ ask, folder, index: INDEX, reportFile })
  try {
    await ask('PUT', `/v1/indexes/${INDEX}`, { fields: {}, embedding_model: 'local' })
    await putAgents(ask, tools.url, files)
    hubs.harass(killEveryMs, { spared: 2 })
    for (let status = ''; status !== 'done'; await sleep(1_000)) {
      // The client asks by one key until its planner is done: whoever it asked may have died.
      const input = { input: 'Do the job.', until: 'done', stream: false }
      const step = (await ask('POST', '/v1/agents/planner/steps', input, 'the job')) as {
        status: string
        error?: unknown
      }
      status = step.status
      report(`${Math.round((performance.now() - started) / 1_000)} s: ${status}, ${hubs.kills} kills`)
      if (status === 'failed') throw new Error(`The planner failed: ${JSON.stringify(step.error)}`)
      if (performance.now() - started > LONGEST_MS) throw new Error('The job is not done')
    }
    const { kills } = hubs
    await hubs.relent()
    await untilIdle(redis)
    const seconds = Math.round((performance.now() - started) / 100) / 10
    return { ...(await countJob({ ...left, effects: tools.effects })), kills, seconds }
  } finally {
    await hubs.relent()
    await hubs.stop()
    tools.close()
    await redis.close()
    await local.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

/** Documents of this repository, as they are now. Resolves with the names of the files. */
async function fillFolder(folder: string): Promise<string[]> {
  const names = (await readdir(join(root, 'infra/docs'))).filter((name) => name.endsWith('.md'))
  await mkdir(folder)
  for (const name of names) await copyFile(join(root, 'infra/docs', name), join(folder, name))
  return names
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
