import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { createOutgoingNode } from '../../shared/drivers/outgoing-node.ts'

it('a caller that leaves as the last of an answer is read does not end the process', async () => {
  const server = createServer((_, response) => response.end('all of it')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  onTestFinished(() => server.closeAllConnections())
  const uncaught: unknown[] = []
  const note = (error: unknown) => void uncaught.push(error)
  process.on('uncaughtException', note)
  onTestFinished(() => void process.off('uncaughtException', note))

  const { send } = createOutgoingNode({ silenceMs: 5_000 })
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  for (let n = 0; n < 20; n++) {
    const caller = new AbortController()
    const request = { url, method: 'GET', headers: new Headers(), body: null, allowPrivate: true }
    const { body } = await send({ ...request, signal: caller.signal })
    await body!.getReader().read()
    caller.abort()
  }
  await sleep(50)
  expect(uncaught).toEqual([])
})
