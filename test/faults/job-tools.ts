import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AskHub } from './hub-process.ts'

interface Effect {
  what: string
  calls: number
  result: Promise<string>
}

/**
 * The application's own tools, which the executors call: `index_file` reads a file of the folder and puts it into the hub's index, `write_report`
 * writes what came of the questions. They honour the idempotency key: what it was done for is done once, and told again.
 */
export async function startJobTools({
  ask,
  folder,
  index,
  reportFile,
}: {
  ask: AskHub
  folder: string
  index: string
  /** The file that the report is written to: there must be none. */
  reportFile: string
}) {
  const effects = new Map<string, Effect>()

  const tools: Record<string, (args: Record<string, string>) => Promise<string>> = {
    async index_file({ file }) {
      const text = await readFile(join(folder, file!), 'utf8')
      await ask('POST', `/v1/indexes/${index}/documents`, [{ id: file, text }])
      return `${file} is in the index: ${text.length} characters.`
    },
    async write_report() {
      const { data } = (await ask('GET', '/v1/tasks?status=done&limit=200')) as { data: JobTask[] }
      const answers = data.flatMap(({ input, output }) => readAnswer(input, output) ?? [])
      const lines = answers.map(({ question, answer, citations }) => {
        const quotes = citations.map(({ document_id, quote }) => `> ${quote} — ${document_id}`)
        return [`## ${question}`, answer, ...quotes].join('\n\n')
      })
      await writeFile(reportFile, `# Report\n\n${lines.join('\n\n')}\n`, { flag: 'wx' })
      return `${answers.length} answers are in the report.`
    },
  }

  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    const key = request.headers['idempotency-key'] as string
    const { tool, arguments: args } = JSON.parse(Buffer.concat(parts).toString()).data
    let effect = effects.get(key)
    if (effect) effect.calls++
    else {
      const result = sleep(200 + 300 * Math.random()).then(() => tools[tool]!(args)) // as what takes its time
      effect = { what: `${tool} ${JSON.stringify(args)}`, calls: 1, result }
      effects.set(key, effect)
    }
    const said = await effect.result.catch((error) => String(error))
    response.end(said)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/tools`,
    effects,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

interface JobTask {
  input: unknown
  output?: unknown
}

export interface JobAnswer {
  question: string
  answer: string
  found: boolean
  citations: { document_id: string; quote: string; start: number; end: number }[]
}

/** What a task's executor said of a question: the local model says what its tools answered. */
export function readAnswer(input: unknown, output: unknown): JobAnswer | undefined {
  const question = /@tool ask \{"question":"([^"]*)"\}/.exec(String(input))?.[1]
  const [, json] = /The tools answered: (\{.*\})\. You said: /s.exec(String(output)) ?? []
  return question !== undefined && json ? { question, ...JSON.parse(json) } : undefined
}
