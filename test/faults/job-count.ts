import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { agentKeys, channelKeys, taskKeys } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import type { AskHub } from './hub-process.ts'
import { readAnswer, type startJobTools } from './job-tools.ts'

/** What is left of a job. */
export interface JobCount {
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
}

const PATIENT = { timeoutMs: 10_000 }

export interface JobLeft {
  redis: Redis
  ask: AskHub
  effects: Awaited<ReturnType<typeof startJobTools>>['effects']
  folder: string
  files: readonly string[]
  /** Of the report. */
  reportFile: string
  index: string
  agents: readonly string[]
  questions: number
}

export async function countJob({
  redis,
  ask,
  effects,
  folder,
  files,
  reportFile,
  index,
  agents,
  questions,
}: JobLeft): Promise<JobCount> {
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
          `/v1/indexes/${index}/documents/${encodeURIComponent(document_id)}`,
        )) as { text: string }
        const file = await readFile(join(folder, document_id), 'utf8')
        return text === file && quote.length > 0 && text.slice(start, end) === quote
      }),
    )
    if (stands.length > 0 && !stands.includes(false)) cited++
  }
  const journals = await Promise.all(
    agents.map(async (id) => {
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
  const written = await readFile(reportFile, 'utf8').catch(() => '')
  return {
    ...{ documents: files.length, tasks: tasks.length, questions, cited },
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
