import { text as readAll } from 'node:stream/consumers'
import { HubRequestError } from '../client/hub-request-error.ts'
import { chatOnTerminal } from './chat-terminal.ts'
import { type Command, type CommandCall, EXIT, hubOptions, textOption, UsageError } from './command.ts'
import { createHubClient } from './hub-client.ts'
import { dim, printJson, shown } from './output.ts'

export interface Message {
  role: 'system' | 'user' | 'assistant'
  content: string
}

export interface Answered {
  content: string
  model: string
  /** `Cache-Status` of the reply. */
  cacheStatus: string
  ms: number
  usage?: unknown
}

type Chunk = { usage?: unknown; choices?: { delta?: { content?: string | null } }[] }

/** Asks for the next message of a conversation. */
export type Converse = (
  messages: readonly Message[],
  model: string,
  onText: (text: string) => void,
  signal?: AbortSignal,
) => Promise<Answered>

export const chat: Command = {
  usage: '[message…] [--model <provider/model>] [--system <text>]',
  about: 'talks with a model; once, where a message is given or piped in',
  options: {
    ...hubOptions,
    model: { type: 'string', value: 'provider/model', about: 'local by default; `models` lists all' },
    system: { type: 'string', value: 'text', about: 'what the model is told first' },
  },
  examples: ['chat', 'chat "What is Redis?" --model openai/gpt-4o-mini', 'chat --json < question.txt'],

  async run(call) {
    const converse = createConverse(call)
    const system = textOption(call, 'system')
    const messages: Message[] = system === undefined ? [] : [{ role: 'system', content: system }]
    const model = textOption(call, 'model') ?? 'local'
    const given = call.positionals.join(' ')
    if (given === '' && process.stdin.isTTY && !call.values.json)
      return chatOnTerminal({ converse, messages, model, signal: call.signal })

    const content = given || (process.stdin.isTTY ? '' : (await readAll(process.stdin)).trim())
    if (content === '') throw new UsageError('Say something, or pipe it in.')
    messages.push({ role: 'user', content })
    const asJson = call.values.json === true
    const answered = await converse(messages, model, (text) => asJson || process.stdout.write(shown(text)))
    if (asJson) {
      const { cacheStatus, ...answer } = answered
      printJson({ ...answer, cache_status: cacheStatus })
      return EXIT.ok
    }
    console.log('')
    console.error(dim(verdict(answered), process.stderr))
    return EXIT.ok
  },
}

/** `hit, exact · 3 ms · local` */
export function verdict({ cacheStatus, ms, model }: Answered): string {
  const [, ...parts] = cacheStatus.split(';').map((part) => part.trim())
  const detail = parts.find((part) => part.startsWith('detail='))?.slice('detail='.length)
  const isHit = parts.includes('hit')
  const cache = isHit ? ['hit', detail] : ['miss', parts.includes('collapsed') ? 'collapsed' : undefined]
  return `${cache.filter(Boolean).join(', ')} · ${Math.round(ms)} ms · ${shown(model)}`
}

function createConverse(call: CommandCall): Converse {
  const hub = createHubClient(call)
  return async (messages, model, onText, signal) => {
    const begun = performance.now()
    const body = { model, messages, stream: true, stream_options: { include_usage: true } }
    const reply = await hub.send('/v1/chat/completions', { method: 'POST', body, stream: true, signal })
    const cacheStatus = reply.headers.get('cache-status') ?? ''
    const answered: Answered = { content: '', model, cacheStatus, ms: 0 }
    let isWhole = false
    for await (const { data } of hub.events(reply)) {
      if (data === '[DONE]') isWhole = true
      const { choices, usage } = Object(data) as Chunk
      const text = choices?.[0]?.delta?.content ?? ''
      answered.content += text
      if (usage) answered.usage = usage
      if (text !== '') onText(text)
    }
    if (!isWhole) throw new HubRequestError('The answer was cut.', { code: 'stream_cut', status: 502 })
    return { ...answered, ms: performance.now() - begun }
  }
}
