import { type Command, hubOptions, requiredOption, textOption, UsageError } from './command.ts'
import { createHubClient } from './hub-client.ts'

interface Answer {
  answer: string
  /** `source` is the number that marks it in the answer. */
  citations: { document_id: string; quote: string; source: number }[]
}

export const ask: Command = {
  usage: '<question> --index <name> [--model <provider/model>]',
  about: 'answers a question from an index, with citations',
  options: { ...hubOptions, index: { type: 'string' }, model: { type: 'string' } },

  async run(call) {
    const question = call.positionals.join(' ')
    if (question === '') throw new UsageError('Say what to ask.')
    const index = requiredOption(call, 'index', 'which index to answer from')
    const model = textOption(call, 'model')
    const body = { index, question, ...(model && { model }) }
    const reply = await createHubClient(call).json<Answer>('/v1/ask', { method: 'POST', body })
    if (call.values.json) {
      console.log(JSON.stringify(reply))
      return 0
    }
    console.log(reply.answer)
    if (reply.citations.length > 0) console.log('')
    for (const { document_id, quote, source } of reply.citations) {
      console.log(`[${source}] ${document_id}: “${quote.replace(/\s+/g, ' ').trim()}”`)
    }
    return 0
  },
}
