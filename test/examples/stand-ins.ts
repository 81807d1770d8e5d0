import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ADMIN_KEY } from '../support/hub.ts'

/**
 * All that is run otherwise than it is shown: the public service that answers with what it was sent is one of this machine, and the
 * admin key is the tests'.
 */
export async function startStandIns() {
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    const { method, url } = request
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ method, url, data: Buffer.concat(parts).toString() }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    put: (text: string) =>
      text
        .replace('"https://httpbin.org/anything"', `"${url}", "allow_private": true`)
        .replace('YOUR_ADMIN_KEY', ADMIN_KEY),
    async close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
