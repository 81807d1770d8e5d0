import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@redis/client'
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { findRedisServer } from '../../infra/local-redis/find-redis.ts'
import { startRedis } from '../../infra/local-redis/run-redis.ts'
import { selfSigned } from '../support/certificate.ts'
import { startTestRedis, testRedisUrl } from '../support/redis.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hub redis '))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('findRedisServer', () => {
  it('uses the redis-server on PATH', async () => {
    const { command, args } = inject('redisServer')
    await executable('redis-server', `exec ${[command, ...args].map((word) => `'${word}'`).join(' ')} "$@"`)
    const found = await findRedisServer({ path: folder, directory: folder, allowFetch: false })
    expect(found).toMatchObject({ command: join(folder, 'redis-server'), args: [] })
    await using redis = await startTestRedis({ server: found })
    expect(await ask(redis.url, ['PING'])).toBe('PONG')
  })

  it.each(['Redis server v=7.0.15 sha=0 malloc=jemalloc', 'Valkey server v=8.1.0'])(
    'refuses %s',
    async (printed) => {
      await executable('redis-server', `echo '${printed}'`)
      const search = findRedisServer({ path: folder, directory: folder, allowFetch: false })
      await expect(search).rejects.toThrow(/is not Redis 8 or newer/)
    },
  )

  it('names every way to get one when there is none', async () => {
    const search = findRedisServer({ path: folder, directory: folder, allowFetch: false })
    await expect(search).rejects.toThrow(/brew install redis.*PATH.*Docker.*set REDIS_URL/s)
  })

  it('does not take a Docker client without an engine for a Redis', async () => {
    await executable('docker', 'echo "Cannot connect to the Docker daemon" >&2; exit 1')
    const search = findRedisServer({ path: folder, directory: folder, allowFetch: false })
    await expect(search).rejects.toThrow(/Cannot connect to the Docker daemon/)
  })

  it('takes what was fetched before', async () => {
    expect(await findRedisServer({ path: process.env.PATH, allowFetch: false })).toEqual(
      inject('redisServer'),
    )
  })
})

describe('startRedis', () => {
  it('serves the whole run from one Redis that has vector sets', async () => {
    expect(await ask(testRedisUrl(), ['COMMAND', 'COUNT'])).toBeGreaterThan(200)
    expect(await ask(testRedisUrl(), ['VDIM', 'local-redis-test:none']).catch(String)).toMatch(
      /key does not exist/,
    )
  })

  it('asks for its password and keeps it off the command line and the environment', async () => {
    await using redis = await startTestRedis()
    expect(redis.password.length).toBeGreaterThan(20)
    await expect(ask(`redis://127.0.0.1:${redis.port}`, ['PING'])).rejects.toThrow(/NOAUTH/)
    expect(String(await ask(redis.url, ['INFO', 'server']))).toContain(`process_id:${redis.pid}`)
    const commands = execFileSync('ps', ['-eww', '-o', 'args='], { encoding: 'utf8' })
    expect(commands.includes('guard.sh')).toBe(true)
    expect(commands.includes(redis.password)).toBe(false)
    if (existsSync('/proc/self/environ'))
      expect(readFileSync(`/proc/${redis.pid}/environ`, 'utf8')).not.toContain(redis.password)
  })

  it('listens on loopback only', async () => {
    await using redis = await startTestRedis()
    expect(await ask(redis.url, ['CONFIG', 'GET', 'bind'])).toMatchObject({ bind: '127.0.0.1' })
  })

  it('serves TLS alone where it has a certificate', async () => {
    const tls = await selfSigned()
    await using redis = await startTestRedis({ tls })
    const socket = { tls: true, ca: tls.ca, reconnectStrategy: false } as const
    const client = createClient({ url: redis.url, socket }).on('error', () => {})
    await client.connect()
    expect(await client.ping()).toBe('PONG')
    client.destroy()
    await expect(ask(redis.url, ['PING'])).rejects.toThrow(/self-signed/)
    await expect(ask(redis.url.replace('rediss:', 'redis:'), ['PING'])).rejects.toThrow()
    expect(statSync(join(redis.directory, 'key.pem')).mode & 0o777).toBe(0o600)
  })

  it('takes 6379 or, when that is taken, another port', async () => {
    const taken = createServer().listen(6379, '127.0.0.1')
    await once(taken, 'listening').catch(() => {}) // another process may have it already
    const lines: string[] = []
    await using redis = await startTestRedis({ port: undefined, report: (line) => lines.push(line) })
    taken.close()
    expect(redis.port).not.toBe(6379)
    expect(await ask(redis.url, ['PING'])).toBe('PONG')
    expect(lines.join()).toMatch(/6379 is taken/)
  })

  it('does not move away from a port that was asked for', async () => {
    await using first = await startTestRedis()
    await expect(startTestRedis({ port: first.port })).rejects.toThrow(`Port ${first.port} is taken`)
  })

  it("shows the server's last words when it does not start", async () => {
    await expect(startTestRedis({ args: ['--maxmemory', 'plenty'] })).rejects.toThrow(
      /did not start.*maxmemory/s,
    )
  })

  it('keeps data, password and a private directory over a restart', async () => {
    const directory = join(folder, 'data')
    const options = { server: inject('redisServer'), directory, port: 0 }
    const first = await startRedis(options)
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    expect(statSync(join(directory, 'redis-url')).mode & 0o777).toBe(0o600)
    await ask(first.url, ['SET', 'kept', 'yes'])
    await first.stop()
    const second = await startRedis(options)
    expect(await ask(second.url, ['GET', 'kept'])).toBe('yes')
    expect(second.password).toBe(first.password)
    expect(readFileSync(join(directory, 'redis-url'), 'utf8')).toBe(second.url)
    await second.stop()
  })

  it('starts again on the same port and directory after redis-server was killed', async () => {
    const options = { server: inject('redisServer'), directory: folder, port: 0 }
    const first = await startRedis(options)
    process.kill(first.pid, 'SIGKILL')
    await first.exited
    const second = await startRedis({ ...options, port: first.port })
    expect(second.url).toBe(first.url)
    await second.stop()
  })

  it('stops a server that is stalled', async () => {
    const redis = await startTestRedis()
    process.kill(redis.pid, 'SIGSTOP')
    await redis.stop()
    expect(isAlive(redis.pid)).toBe(false)
  })

  it('stops a server that a script keeps busy', async () => {
    const redis = await startTestRedis()
    ask(redis.url, ['EVAL', 'while true do end', '0']).catch(() => {})
    await sleep(200)
    await redis.stop()
    expect(isAlive(redis.pid)).toBe(false)
  })
})

describe('one data directory', () => {
  const options = () => ({ server: inject('redisServer'), directory: folder, port: 0 })

  it('refuses a second hub and says how to share', async () => {
    const first = await startRedis(options())
    await expect(startRedis(options())).rejects.toThrow(/Another hub uses .*REDIS_URL/)
    await first.stop()
  })

  it('is given to one of several that start at once', async () => {
    const starts = await Promise.allSettled([hub(), hub(), hub()])
    const started = starts.filter((start) => start.status === 'fulfilled').map((start) => start.value)
    expect(started).toHaveLength(1)
    for (const start of starts)
      if (start.status === 'rejected') expect(String(start.reason)).toMatch(/Another hub uses/)
    started[0]?.process.kill('SIGKILL')
    await gone(started[0]!.redis.pid)
  })

  it('is flushed and free again after its hub was killed, guard and all', async () => {
    const { process: parent, redis } = await hub()
    await ask(redis.url, ['SET', 'written', 'just now'])
    const guard = Number(execFileSync('ps', ['-o', 'ppid=', '-p', String(redis.pid)], { encoding: 'utf8' }))
    parent.kill('SIGKILL')
    await once(parent, 'exit')
    // At once, while the old Redis may still be writing.
    const next = await startRedis(options())
    expect(isAlive(redis.pid)).toBe(false)
    expect(await ask(next.url, ['GET', 'written'])).toBe('just now')
    await gone(guard)
    await next.stop()
  })

  it('stays with a hub whose terminal sends Ctrl-C to the whole group', async () => {
    const { process: parent, redis } = await hub({ detached: true })
    process.kill(-parent.pid!, 'SIGINT') // the hub's process group; the fixture ignores it, as a hub that is finishing
    await sleep(300)
    expect(await ask(redis.url, ['PING'])).toBe('PONG')
    parent.kill('SIGKILL')
    await gone(redis.pid)
  })

  /** Another process that starts a Redis on the folder, prints what it got, and lives until it is killed. */
  async function hub({ detached = false } = {}) {
    const module = new URL('../../infra/local-redis/run-redis.ts', import.meta.url).href
    const program = `import { startRedis } from ${JSON.stringify(module)}
      process.on('SIGINT', () => {})
      console.log(JSON.stringify(await startRedis(${JSON.stringify(options())})))`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { detached })
    let said = ''
    child.stderr.on('data', (chunk) => (said += chunk))
    const [line] = await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'close').then(() => Promise.reject(new Error(said))),
    ])
    return { process: child, redis: JSON.parse(String(line)) as { url: string; pid: number } }
  }
})

async function executable(name: string, script: string) {
  await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
}

async function ask(url: string, command: string[]): Promise<unknown> {
  const client = createClient({ url, socket: { reconnectStrategy: false } }).on('error', () => {})
  await client.connect()
  try {
    return await client.sendCommand(command)
  } finally {
    client.destroy()
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function gone(pid: number) {
  await expect.poll(() => isAlive(pid), { timeout: 5_000 }).toBe(false)
}
