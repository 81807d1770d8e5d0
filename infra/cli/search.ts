import {
  type Command,
  EXIT,
  hubOptions,
  numberOption,
  requiredOption,
  textOption,
  UsageError,
} from './command.ts'
import { createHubClient } from './hub-client.ts'
import { dim, oneLine, printJson, styled } from './output.ts'

interface Result {
  document_id: string
  chunk: number
  text: string
  score: number
}

export const search: Command = {
  usage: '<words…> --index <name> [--mode vector|text|hybrid] [--top-k <number>]',
  about: 'searches an index',
  options: {
    ...hubOptions,
    index: { type: 'string', value: 'name' },
    mode: { type: 'string', value: 'mode', about: 'vector, text, or hybrid, which is the default' },
    'top-k': { type: 'string', value: 'number', about: 'of results' },
  },
  examples: ['search stored answers --index docs --top-k 3'],

  async run(call) {
    const query = call.positionals.join(' ')
    if (query === '') throw new UsageError('Say what to search for.')
    const index = requiredOption(call, 'index', 'which index to search')
    const [mode, topK] = [textOption(call, 'mode'), numberOption(call, 'top-k')]
    const body = { query, ...(mode && { mode }), ...(topK && { top_k: topK }) }
    const path = `/v1/indexes/${encodeURIComponent(index)}/search`
    const reply = await createHubClient(call).json<{ results: Result[] }>(path, { method: 'POST', body })
    if (call.values.json) printJson(reply)
    else if (reply.results.length === 0) console.log('Nothing was found.')
    else
      for (const { document_id, chunk, score, text } of reply.results) {
        const where = `${styled('cyan', oneLine(document_id))} ${dim(`(${chunk})`)}`
        console.log(`${score.toFixed(3)}  ${where}\n       ${oneLine(text)}`)
      }
    return EXIT.ok
  },
}
