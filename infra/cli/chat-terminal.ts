import { createInterface } from 'node:readline'
import { type Converse, type Message, verdict } from './chat.ts'
import { EXIT } from './command.ts'
import { toFailure } from './failure.ts'
import { dim, shown, styled } from './output.ts'

export interface ChatOptions {
  converse: Converse
  /** What was said before; kept at `/reset`. */
  messages: readonly Message[]
  model: string
  signal: AbortSignal
  input?: NodeJS.ReadableStream
  output?: NodeJS.WritableStream
}

const HELP = `  /model <provider/model>   another model from now on
  /reset                    forgets what was said
  /exit                     ends; so does Ctrl-D. Ctrl-C stops an answer`

/** A conversation, line by line. Resolves to the exit code. */
export async function chatOnTerminal(options: ChatOptions): Promise<number> {
  const { converse, signal, input = process.stdin, output = process.stdout } = options
  const lines = createInterface({ input, output, prompt: '› ', historySize: 200 })
  const say = (text: string) => output.write(`${text}\n`)
  let messages = [...options.messages]
  let { model } = options
  let running: AbortController | undefined
  let code: number = EXIT.ok
  let isOver = false

  // The terminal is in raw mode: Ctrl-C comes here, not as a signal.
  lines.on('SIGINT', () => {
    if (running) return running.abort()
    code = EXIT.interrupted
    lines.close()
  })
  signal.addEventListener('abort', () => lines.close(), { once: true })
  lines.once('close', () => {
    isOver = true
  })

  async function answer(content: string): Promise<void> {
    running = new AbortController()
    const asked: Message[] = [...messages, { role: 'user', content }]
    try {
      const answered = await converse(asked, model, (text) => output.write(shown(text)), running.signal)
      messages = [...asked, { role: 'assistant', content: answered.content }]
      say(dim(`\n  ${verdict(answered)}`))
    } catch (error) {
      if (running.signal.aborted) return void say(dim('\n  stopped, and not remembered'))
      const failure = toFailure(error)
      if (!failure) throw error
      say(styled('red', `\n${failure.message}`))
      if (failure.hint) say(failure.hint)
    } finally {
      running = undefined
    }
  }

  function obey(line: string): void {
    const [name, ...rest] = line.slice(1).split(/\s+/)
    if (name === 'exit' || name === 'quit') lines.close()
    else if (name === 'reset') {
      messages = [...options.messages]
      say(dim('What was said is forgotten.'))
    } else if (name === 'model') {
      model = rest[0] ?? model
      say(dim(`Answers come from ${shown(model)}.`))
    } else say(HELP)
  }

  say(dim(`Answers come from ${shown(model)}. /help tells what else there is.`))
  lines.prompt()
  for await (const line of lines) {
    const text = line.trim()
    if (text.startsWith('/')) obey(text)
    else if (text !== '') await answer(text)
    if (!isOver) lines.prompt()
  }
  return signal.aborted ? EXIT.interrupted : code
}
