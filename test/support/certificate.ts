import { generate } from 'selfsigned'
import type { ServerTls } from '../../infra/local-redis/run-redis.ts'

/** A certificate for this machine that vouches for itself. */
export async function selfSigned(): Promise<ServerTls> {
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  })
  return { cert: made.cert, key: made.private, ca: made.cert }
}
