import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'

/**
 * A server that answers a client's commands with recorded bytes, one reply a command, in pieces of 1,000 bytes. What the client
 * says on its own (`CLIENT`, `PING`) is answered as Redis does and not recorded.
 *
 * @example const replay = await startReplay([Buffer.from('+OK\r\n')]); createRedisResp({ url: replay.url })
 */
export async function startReplay(replies: readonly Uint8Array[]) {
  const requests: Buffer[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    let waiting: Buffer = Buffer.alloc(0)
    let writing = Promise.resolve()
    socket.on('data', (data) => {
      waiting = Buffer.concat([waiting, data])
      for (let end = endOf(waiting); end > 0; end = endOf(waiting)) {
        const request = waiting.subarray(0, end)
        waiting = waiting.subarray(end)
        const reply = toReply(request)
        writing = writing.then(() => writeInPieces(socket, reply))
      }
    })
  })

  function toReply(request: Buffer): Uint8Array {
    if (/^\*\d+\r\n\$\d+\r\n(CLIENT|PING)\r\n/i.test(request.toString('latin1')))
      return Buffer.from('+OK\r\n')
    const reply = replies[requests.push(request) - 1]
    return reply ?? Buffer.from('-ERR nothing was recorded for this command\r\n')
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** As they came, in order. */
    requests,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function writeInPieces(socket: Socket, bytes: Uint8Array) {
  for (let at = 0; at < bytes.length; at += 1_000) {
    socket.write(bytes.subarray(at, at + 1_000))
    await turn()
  }
}

/** Where the first command in the bytes ends; 0 while it is not all there. */
function endOf(bytes: Buffer): number {
  let at = 0
  const readLine = () => {
    const end = bytes.indexOf('\r\n', at)
    const line = end < 0 ? '' : bytes.toString('latin1', at, end)
    at = end < 0 ? Number.POSITIVE_INFINITY : end + 2
    return line
  }
  const count = Number(readLine().slice(1))
  for (let i = 0; i < count && at <= bytes.length; i++) {
    const length = Number(readLine().slice(1))
    at += length + 2
  }
  return at <= bytes.length ? at : 0
}
