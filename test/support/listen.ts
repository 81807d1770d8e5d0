import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { until } from './hub.ts'

/**
 * What an EventSource gets of a response.
 *
 * @example using heard = listen(await app.get('/v1/realtime/news')); await heard.atLeast(2)
 */
export function listen(response: Response) {
  if (!response.ok || !response.body) throw new Error(`It is ${response.status}, not a stream`)
  const events: EventSourceMessage[] = []
  const comments: string[] = []
  let lastId: string | undefined
  let ended = false
  // The parser tells of events; an `id:` without data counts too, as the standard says.
  const parser = createParser({
    onEvent: (event) => events.push(event),
    onComment: (comment) => comments.push(comment),
  })
  const reader = response.body.getReader()
  const decoder = new TextDecoder()
  const over = (async () => {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      const text = decoder.decode(value, { stream: true })
      for (const [, id] of text.matchAll(/^id: (.*)$/gm)) lastId = id
      parser.feed(text)
    }
  })()
    .catch(() => {}) // left
    .finally(() => {
      ended = true
    })
  const leave = () => reader.cancel().catch(() => {})
  return {
    events,
    comments,
    /** What the next connection says in `Last-Event-ID`. */
    get lastId() {
      return lastId
    },
    get ended() {
      return ended
    },
    over,
    data: () => events.map((event) => JSON.parse(event.data)),
    /** Waits for that many events. */
    atLeast: (count: number, timeoutMs = 15_000) =>
      until(`${count} events`, () => events.length >= count && events, timeoutMs),
    begun: () => until('it has begun', () => lastId),
    leave,
    [Symbol.dispose]: () => void leave(),
  }
}

export type Heard = ReturnType<typeof listen>
