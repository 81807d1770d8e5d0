import { type Command, hubOptions, requiredOption, textOption, UsageError } from './command.ts'
import { createHubClient } from './hub-client.ts'

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
    index: { type: 'string' },
    mode: { type: 'string' },
    'top-k': { type: 'string' },
  },

  async run(call) {
    const query = call.positionals.join(' ')
    if (query === '') throw new UsageError('Say what to search for.')
    const index = requiredOption(call, 'index', 'which index to search')
    const [mode, topK] = [textOption(call, 'mode'), textOption(call, 'top-k')]
    const body = { query, ...(mode && { mode }), ...(topK && { top_k: Number(topK) }) }
    const path = `/v1/indexes/${encodeURIComponent(index)}/search`
    const reply = await createHubClient(call).json<{ results: Result[] }>(path, { method: 'POST', body })
    if (call.values.json) console.log(JSON.stringify(reply))
    else if (reply.results.length === 0) console.log('Nothing was found.')
    else
      for (const { document_id, chunk, score, text } of reply.results) {
        console.log(`${score.toFixed(3)}  ${document_id} (${chunk})\n       ${oneLine(text)}`)
      }
    return 0
  },
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > 160 ? `${line.slice(0, 159)}…` : line
}
