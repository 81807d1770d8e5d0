import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/**
 * A TCP proxy that can hold back what the server says: to its client, a server that stalls.
 *
 * @example const proxy = await startProxy('redis://127.0.0.1:6390'); createRedisResp({ url: proxy.url })
 */
export async function startProxy(url: string) {
  const place = new URL(url)
  const pairs = new Set<{ client: Socket; upstream: Socket }>()
  let stalled = false
  const server = createServer((client) => {
    const pair = { client, upstream: connect(Number(place.port || 6379), place.hostname) }
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      client.destroy()
      pair.upstream.destroy()
    }
    client.on('error', end).on('close', end).pipe(pair.upstream)
    pair.upstream
      .on('error', end)
      .on('close', end)
      .on('data', (data) => client.write(data))
    if (stalled) pair.upstream.pause()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const through = new URL(url)
  through.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: through.href,
    stall() {
      stalled = true
      for (const { upstream } of pairs) upstream.pause()
    },
    resume() {
      stalled = false
      for (const { upstream } of pairs) upstream.resume()
    },
    async close() {
      for (const { client } of pairs) client.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
