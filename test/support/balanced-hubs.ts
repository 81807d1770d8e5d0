import { readFileSync } from 'node:fs'
import { freePort } from '../../infra/local-redis/run-redis.ts'
import { type NodeHub, startNodeHub } from './hub.ts'
import { startNginx } from './nginx.ts'

/** Three Node hubs behind infra/gateways/nginx-hub.conf; each answer names its instance in `x-instance`, and those that refused it before it. */
export async function startBalancedHubs(env: Record<string, string>) {
  const ports = [await freePort(), await freePort(), await freePort()]
  const start = (port: number) => startNodeHub({ ...env, PORT: String(port), HUB_DRAIN_SECONDS: '1.5' })
  const hubs: NodeHub[] = []
  for (const port of ports) hubs.push(await start(port)) // a machine of two cores starts one at a time sooner
  const conf = readFileSync(new URL('../../infra/gateways/nginx-hub.conf', import.meta.url), 'utf8')
  const nginx = await startNginx(
    ports
      .reduce((text, port, i) => text.replace(`127.0.0.1:${8787 + i} `, `127.0.0.1:${port} `), conf)
      .replace('keepalive_timeout 3s;', 'keepalive_timeout 1s;') // below HUB_DRAIN_SECONDS, and sooner over
      .replace('listen 8080;', 'listen 8080;\n  add_header x-instance $upstream_addr always;'),
  )
  return {
    hubs,
    nginx,
    names: ports.map((port) => `127.0.0.1:${port}`),
    /** Another process in its place, once that one has ended. */
    async again(i: number) {
      hubs[i] = await start(ports[i]!)
    },
    async [Symbol.asyncDispose]() {
      await nginx[Symbol.asyncDispose]()
      // Nobody is left to wait for.
      await Promise.all(hubs.map((hub) => hub.kill()))
    },
  }
}
