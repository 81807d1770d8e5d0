import { EventSourceParserStream } from 'eventsource-parser/stream'
import { useEffect, useState } from 'preact/hooks'
import type { Snapshot } from '../../shared/overview/snapshot.ts'
import { call, HubFailure, queryOf } from './hub.ts'

export type Connection =
  | { state: 'connecting' | 'live' }
  | { state: 'waiting'; why: string; retryAt: number }
  | { state: 'signed-out' }
  | { state: 'refused'; why: string }

const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 30_000
/** The hub says something at least this often; a connection that does not is dead. */
const SILENCE_MS = 45_000

/** Follows the overview, and comes back by itself when the connection breaks, later each time. */
export function useLive(tenant: string | undefined, minutes: number, session: number) {
  const [snapshot, setSnapshot] = useState<Snapshot>()
  const [connection, setConnection] = useState<Connection>({ state: 'connecting' })
  const [attempt, setAttempt] = useState(0)

  // Anew: another attempt or session is another connection
  useEffect(() => {
    const leaving = new AbortController()
    let wait = FIRST_WAIT_MS
    let timer: ReturnType<typeof setTimeout>
    const path = `v1/overview/events${queryOf({ tenant, minutes })}`

    async function follow() {
      setConnection({ state: 'connecting' })
      const silent = new AbortController()
      const signal = AbortSignal.any([leaving.signal, silent.signal])
      let alarm: ReturnType<typeof setTimeout> | undefined
      const heard = () => {
        clearTimeout(alarm)
        alarm = setTimeout(() => silent.abort(), SILENCE_MS)
      }
      try {
        const response = await call(path, { signal })
        const events = response
          .body!.pipeThrough(
            new TransformStream({
              transform(bytes: Uint8Array<ArrayBuffer>, controller) {
                heard()
                controller.enqueue(bytes)
              },
            }),
          )
          .pipeThrough(new TextDecoderStream())
          .pipeThrough(new EventSourceParserStream())
          .getReader()
        for (;;) {
          const { value, done } = await events.read()
          if (done) break
          if (value.event !== 'snapshot') continue
          wait = FIRST_WAIT_MS
          setSnapshot(JSON.parse(value.data))
          setConnection({ state: 'live' })
        }
        again('The hub ended the connection.')
      } catch (error) {
        if (leaving.signal.aborted) return
        const { status = 0, message } = error as HubFailure
        if (status === 401) setConnection({ state: 'signed-out' })
        else if (error instanceof HubFailure && status >= 400 && status < 500 && status !== 429) {
          setConnection({ state: 'refused', why: message })
        } else again(error instanceof HubFailure ? message : 'The connection broke.')
      } finally {
        clearTimeout(alarm)
      }
    }

    function again(why: string) {
      const delay = wait * (0.75 + Math.random() / 2)
      wait = Math.min(LONGEST_WAIT_MS, wait * 2)
      setConnection({ state: 'waiting', why, retryAt: Date.now() + delay })
      timer = setTimeout(follow, delay)
    }

    void follow()
    return () => {
      leaving.abort()
      clearTimeout(timer)
    }
  }, [tenant, minutes, session, attempt])

  return { snapshot, connection, retry: () => setAttempt((n) => n + 1) }
}
