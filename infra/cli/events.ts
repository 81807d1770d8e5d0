import { createHubClient } from '../client/client.ts'
import type { HubEvent } from '../client/events.ts'
import type { HubRequestError } from '../client/hub-request-error.ts'
import { type Command, type CommandCall, EXIT, hubOptions, numberOption, UsageError } from './command.ts'
import { baseOf, keyOf } from './hub-client.ts'
import { dim, printJson, shown } from './output.ts'

/** A hub that was there and is away for longer does not come back. */
const LONGEST_AWAY_MS = 10 * 60_000

export const events: Command = {
  usage: 'tail <stream> [--from beginning|<id>|<time>] [--limit <number>]',
  about: 'follows the events of a stream, through reconnects',
  options: {
    ...hubOptions,
    timeout: { type: 'string', value: 'seconds', about: 'ends with 1 after so long without an event' },
    from: { type: 'string', value: 'place', about: 'beginning, an id, or an RFC 3339 time; now by default' },
    limit: { type: 'string', value: 'number', about: 'ends after so many' },
  },
  examples: ['events tail orders', 'events tail orders --from beginning --limit 10 --json'],

  async run(call) {
    const [action, stream, ...more] = call.positionals
    if (action !== 'tail' || !stream || more.length > 0) throw new UsageError('Name one stream to follow.')
    const limit = numberOption(call, 'limit') ?? Number.POSITIVE_INFINITY
    const silence = watchSilence(numberOption(call, 'timeout'))
    const signal = AbortSignal.any([call.signal, silence.signal])
    let count = 0
    try {
      for await (const event of follow(call, stream, signal)) {
        silence.heard()
        show(event, call.values.json === true)
        if (event.type !== 'gap' && ++count >= limit) return EXIT.ok
      }
    } finally {
      silence.end()
    }
    if (call.signal.aborted) return EXIT.interrupted
    console.error(`No event came within ${call.values.timeout} s.`)
    return EXIT.failed
  },
}

function follow(call: CommandCall, stream: string, signal: AbortSignal): AsyncGenerator<HubEvent> {
  let heardAt: number | undefined
  const hub = createHubClient({
    ...{ baseUrl: baseOf(call), key: keyOf(call) },
    fetch: async (...request) => {
      const response = await fetch(...request)
      if (response.ok) heardAt = performance.now()
      return response
    },
  })
  const onError = (error: HubRequestError) => {
    if (heardAt === undefined || performance.now() - heardAt > LONGEST_AWAY_MS) throw error
    console.error(dim(`${error.message} Going on after the last event when it is back …`, process.stderr))
  }
  const place = placeOf(call.values.from as string | undefined)
  const path = { channel: `events:${stream}` }
  return hub.follow('GET /v1/realtime/{channel}', { ...place, path, signal, onError })
}

function placeOf(from: string | undefined) {
  if (from === undefined || from === 'now') return {}
  if (from === 'beginning') return { lastEventId: '0-0' }
  if (/^\d+(-\d+)?$/.test(from)) return { lastEventId: from }
  const time = Date.parse(from)
  if (Number.isNaN(time))
    throw new UsageError(
      `--from: ${from} is neither beginning, nor an id such as 1763890000000-0, nor a time such as 2026-11-23T10:00:00Z.`,
    )
  return { query: { since: new Date(time).toISOString() } }
}

function show({ id, type, data }: HubEvent, asJson: boolean) {
  if (asJson) return printJson({ id: id ?? null, type, data })
  if (type === 'gap') {
    const { after } = Object(data) as { after?: string }
    return console.error(dim(`Events after ${after} were removed before they could be read.`, process.stderr))
  }
  const { time, type: kind = type, data: own = data } = Object(data) as Record<string, unknown>
  const head = [time, kind].filter((part) => typeof part === 'string').join('  ')
  console.log(`${dim(shown(`${id ?? ''}  ${head}`))}  ${shown(JSON.stringify(own))}`)
}

/** Aborts after so many seconds in which nothing was heard. */
function watchSilence(seconds: number | undefined) {
  const over = new AbortController()
  const timer = seconds === undefined ? undefined : setTimeout(() => over.abort(), seconds * 1_000)
  return { signal: over.signal, heard: () => timer?.refresh(), end: () => clearTimeout(timer) }
}
