import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Webhook } from 'standardwebhooks'

export interface Received {
  id: string
  /** `performance.now()` */
  at: number
  headers: Record<string, string>
  text: string
  body: { type: string; timestamp: string; data: Record<string, unknown> }
}

interface Answer {
  status?: number
  headers?: Record<string, string>
  text?: string
  delayMs?: number
}

/** Somebody's server that takes webhooks: what does not verify by the library of Standard Webhooks is answered 400, and noted. */
export async function startReceiver({
  secret,
  answer = () => ({}),
}: {
  secret?: string
  /** `n` counts from 1. */
  answer?: (n: number, received: Received) => Answer
} = {}) {
  const received: Received[] = []
  const refused: string[] = []
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    const text = Buffer.concat(parts).toString()
    const headers = request.headers as Record<string, string>
    try {
      if (secret) new Webhook(secret).verify(text, headers)
    } catch (error) {
      refused.push(String(error))
      response.writeHead(400).end()
      return
    }
    const one = { id: headers['webhook-id']!, at: performance.now(), headers, text, body: JSON.parse(text) }
    received.push(one)
    const { status = 200, headers: more = {}, text: said = '', delayMs = 0 } = answer(received.length, one)
    if (delayMs > 0) await sleep(delayMs)
    response.writeHead(status, more).end(said)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    ...{ received, refused },
    async close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
