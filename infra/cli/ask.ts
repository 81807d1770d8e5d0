import { HubRequestError } from '../client/hub-request-error.ts'
import { type Command, EXIT, hubOptions, requiredOption, textOption, UsageError } from './command.ts'
import { createHubClient } from './hub-client.ts'
import { dim, oneLine, printJson, shown, styled } from './output.ts'

interface Answer {
  answer: string
  /** `source` is the number that marks it in the answer. */
  citations: { document_id: string; quote: string; source: number }[]
}

/** The last event has the answer whole, with its citations. */
type Chunk = Partial<Answer> & { choices?: { delta?: { content?: string } }[] }

export const ask: Command = {
  usage: '<question> --index <name> [--model <provider/model>]',
  about: 'answers a question from an index, with citations',
  options: {
    ...hubOptions,
    index: { type: 'string', value: 'name' },
    model: { type: 'string', value: 'provider/model', about: 'HUB_ASK_MODEL of the hub by default' },
  },
  examples: ['ask "How long does a stored answer live?" --index docs'],

  async run(call) {
    const question = call.positionals.join(' ')
    if (question === '') throw new UsageError('Say what to ask.')
    const index = requiredOption(call, 'index', 'which index to answer from')
    const model = textOption(call, 'model')
    const body = { index, question, ...(model && { model }) }
    const hub = createHubClient(call)
    if (call.values.json) {
      printJson(await hub.json<Answer>('/v1/ask', { method: 'POST', body }))
      return EXIT.ok
    }
    const reply = await hub.send('/v1/ask', { method: 'POST', body: { ...body, stream: true }, stream: true })
    let said = ''
    let isWhole = false
    for await (const { data } of hub.events(reply)) {
      const { choices, answer, citations } = Object(data) as Chunk
      const text = choices?.[0]?.delta?.content ?? ''
      process.stdout.write(shown(text))
      said += text
      if (answer === undefined || !citations) continue
      conclude(said, { answer, citations })
      isWhole = true
    }
    if (!isWhole) throw new HubRequestError('The answer was cut.', { code: 'stream_cut', status: 502 })
    return EXIT.ok
  },
}

function conclude(said: string, { answer, citations }: Answer) {
  console.log('')
  const kept = marks(answer)
  const dropped = [...marks(said)].filter((mark) => !kept.has(mark))
  if (dropped.length > 0) console.log(dim(`Nothing in the documents supports ${dropped.join(' ')}.`))
  if (citations.length > 0) console.log('')
  for (const { document_id, quote, source } of citations) {
    console.log(`[${source}] ${styled('cyan', oneLine(document_id))}: “${oneLine(quote, 2_000)}”`)
  }
}

const marks = (text: string) => new Set(text.match(/\[\d+\]/g))
