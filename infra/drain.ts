import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { Server as NetServer } from 'node:net'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'

export interface DrainOptions {
  server: Server
  /** How long it is still served as ever while it says that it goes, and then how long idle connections are left open. 0: neither. */
  seconds: number
}

/**
 * Takes an HTTP server out of service behind a load balancer without a failed request. First everything is served while `/readyz` says
 * `draining`, for balancers that ask. Then the listener closes, and each answer says `Connection: close`: who connects anew is refused before
 * it sent a byte, and goes to another instance. An idle connection is its owner's to close: closed from here, it might meet a request on
 * its way, which nobody may repeat when it is a POST.
 */
export function createDrain({ server, seconds }: DrainOptions) {
  let isDraining = false
  let isClosing = false
  let accepted = 0
  const answering = new Set<ServerResponse>()
  const sayClose = (response: ServerResponse) =>
    response.headersSent || response.setHeader('Connection', 'close')

  server.on('connection', () => accepted++)
  server.prependListener('request', (_: IncomingMessage, response: ServerResponse) => {
    answering.add(response)
    response.once('close', () => answering.delete(response))
    if (isClosing) sayClose(response)
  })

  return {
    get isDraining() {
      return isDraining
    },
    /** Resolves when the balancers have had their time: the listener is still open. */
    async announce() {
      isDraining = true
      if (seconds > 0) await sleep(seconds * 1000)
    },
    /** Resolves when the last connection has closed, which takes as long as the longest answer does. */
    async close() {
      isClosing = true
      answering.forEach(sayClose)
      // What waits to be accepted would be reset. A turn of the event loop accepts one connection: after one without, none waits.
      for (let before = -1, turns = 0; before !== accepted && turns < 100; turns++) {
        before = accepted
        await turn()
      }
      const closed = new Promise((resolve) => {
        // HTTP's own `close` would cut idle connections off.
        NetServer.prototype.close.call(server, resolve)
      })
      const patience = seconds > 0 ? sleep(seconds * 1000, undefined, { ref: false }) : undefined
      await Promise.race([closed, patience])
      server.closeIdleConnections()
      // Those whose answer began before it could say so.
      const sweeping = setInterval(() => server.closeIdleConnections(), 100)
      await closed
      clearInterval(sweeping)
    },
  }
}
