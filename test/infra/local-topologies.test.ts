import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, createCluster } from '@redis/client'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { startSentinel } from '../../infra/local-redis/sentinel.ts'
import { startSingle } from '../../infra/local-redis/single.ts'
import type { NodeRole } from '../../infra/local-redis/topology.ts'
import type { TopologyNode } from '../../infra/local-redis/topology-node.ts'
import { until } from '../support/hub.ts'
import { toTopology } from '../support/provide-redis.ts'
import { startTestCluster, startTestSentinel } from '../support/topologies.ts'

const root = new URL('../..', import.meta.url).pathname

describe('startSentinel', () => {
  let sentinel: Awaited<ReturnType<typeof startTestSentinel>>
  beforeAll(async () => {
    sentinel = await startTestSentinel()
  })
  afterAll(() => sentinel?.stop())

  it('runs a primary, two replicas, and three sentinels that agree on it', async () => {
    expect(names(await sentinel.roles())).toBe('primary replica replica sentinel sentinel sentinel')
    const primary = await sentinel.primary()
    for (const one of sentinel.sentinels) {
      const address = await one.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster')
      expect(address).toEqual(['127.0.0.1', String(primary.port)])
      expect(await one.command('SENTINEL', 'CKQUORUM', 'mymaster')).toMatch(/^OK 3 usable/)
    }
  })

  it('copies what is written', async () => {
    await (await sentinel.primary()).command('SET', 'copied', 'yes')
    for (const node of sentinel.nodes)
      await until('the replica has it', async () => (await node.command('GET', 'copied')) === 'yes')
  })

  it('asks for a password, the sentinels for another one', async () => {
    for (const node of [...sentinel.nodes, ...sentinel.sentinels]) await refusesStrangers(node)
    const { hostname, pathname, searchParams, password } = new URL(
      sentinel.url.replace(/127\.0\.0\.1:\d+,/g, ''),
    )
    expect([hostname, pathname]).toEqual(['127.0.0.1', '/mymaster'])
    expect(password).toBe(sentinel.password)
    expect(searchParams.get('sentinel_password')).toBe(sentinel.sentinelPassword)
    expect(sentinel.sentinelPassword).not.toContain(password)
  })

  it('elects a replica when the primary is killed, and takes the old one back as a replica', async () => {
    const old = await sentinel.primary()
    await old.kill()
    expect(names(await sentinel.roles())).toBe('down replica replica sentinel sentinel sentinel')
    await until('another is primary', async () => (await sentinel.primary()) !== old)
    const next = await sentinel.primary()
    expect(await next.command('GET', 'copied')).toBe('yes')
    await next.command('SET', 'after', 'the failover')
    await old.start()
    await until('it follows', async () => (await old.command('GET', 'after')) === 'the failover')
    expect(await old.command('ROLE')).toMatchObject(['slave', '127.0.0.1', next.port])
  })
})

describe('startCluster', () => {
  let cluster: Awaited<ReturnType<typeof startTestCluster>>
  beforeAll(async () => {
    cluster = await startTestCluster()
  })
  afterAll(() => cluster?.stop())

  it('serves every slot from three primaries that have a replica each', async () => {
    const roles = await cluster.roles()
    expect(names(roles)).toBe('primary primary primary replica replica replica')
    const ranges = roles.flatMap(({ slots = [] }) => slots).sort(([a], [b]) => a - b)
    expect(ranges.map(([from]) => from)).toEqual([0, ...ranges.slice(0, -1).map(([, last]) => last + 1)])
    expect(ranges.at(-1)?.[1]).toBe(16_383)
    for (const { node, role } of roles)
      if (role === 'primary')
        expect(await node.command('INFO', 'replication')).toContain('connected_slaves:1')
  })

  it('asks for a password', async () => {
    for (const node of cluster.nodes) await refusesStrangers(node)
  })

  it('moves slots with their keys while a client reads and writes them', async () => {
    await using client = await connect(cluster)
    const slot = await cluster.slotOf('{moving}')
    const source = await cluster.ownerOf(slot)
    const { node: to } = (await cluster.roles()).find((one) => one.role === 'primary' && one.node !== source)!
    const keys = Array.from({ length: 300 }, (_, at) => `{moving}${at}`)
    await Promise.all(keys.map((key) => client.set(key, '0')))

    let moved: number | undefined
    const moving = cluster.migrateSlots({ slots: [slot, slot + 1], to, keysAtOnce: 10 })
    moving.then((count) => (moved = count)).catch(() => {})
    let rounds = 0
    for (; moved === undefined && rounds < 1_000; rounds++)
      for (const key of keys.slice(0, 50)) expect(await client.incr(key)).toBe(rounds + 1)
    expect(await moving).toBe(300)

    expect(await cluster.ownerOf(slot)).toBe(to)
    expect(await cluster.ownerOf(slot + 1)).toBe(to)
    expect(await source.command('CLUSTER', 'COUNTKEYSINSLOT', String(slot))).toBe(0)
    expect(await to.command('CLUSTER', 'COUNTKEYSINSLOT', String(slot))).toBe(300)
    expect(await client.get(keys[0]!)).toBe(String(rounds))
    await cluster.whenWhole()
  })

  it('moves nothing to a replica', async () => {
    const { node: to } = (await cluster.roles()).find((one) => one.role === 'replica')!
    await expect(cluster.migrateSlots({ slots: [0], to })).rejects.toThrow(`${to.port} is no living primary`)
  })

  it('promotes the replica of a primary that is killed, and takes it back as its replica', async () => {
    const slot = await cluster.slotOf('kept')
    const old = await cluster.ownerOf(slot)
    await using client = await connect(cluster)
    await client.set('kept', 'yes')
    await old.command('WAITAOF', '0', '0', '0').catch(() => {})
    await until('its replica has it', async () => {
      const offset = /master_repl_offset:(\d+)/.exec(String(await old.command('INFO', 'replication')))?.[1]
      return String(await old.command('INFO', 'replication')).includes(`offset=${offset},`)
    })
    await old.kill()
    await until('another serves the slot', async () => {
      const next = await cluster.ownerOf(slot).catch(() => old)
      return next !== old
    })
    await old.start()
    await cluster.whenWhole()
    expect(names(await cluster.roles())).toBe('primary primary primary replica replica replica')
    const next = await cluster.ownerOf(slot)
    expect(next).not.toBe(old)
    expect(await next.command('GET', 'kept')).toBe('yes')
    expect(await old.command('ROLE')).toMatchObject(['slave', '127.0.0.1', next.port])
  })
})

describe('a directory', () => {
  it('holds a Sentinel that comes back with its latest primary and data', async () => {
    const directory = await folder()
    const options = { server: inject('redisServer'), directory }
    const first = await startSentinel(options)
    const old = await first.primary()
    await first.sentinels[0]!.command('SENTINEL', 'FAILOVER', 'mymaster')
    await until('another is primary', async () => (await first.primary()) !== old)
    const { port } = await first.primary()
    await until('it takes writes', () => accepts(first.nodes.find((node) => node.port === port)!))
    await first.stop()

    const taken = createServer().listen(port, '127.0.0.1')
    await once(taken, 'listening')
    await expect(startSentinel(options)).rejects.toThrow(/Port \d+ is taken, by which .* Free it/)
    for (const node of first.nodes) if (node.port !== port) await isClosed(node.port)
    taken.close()

    const second = await startSentinel(options)
    onTestFinished(second.stop)
    expect(second.url).toBe(first.url)
    const primary = await second.primary()
    expect(primary.port).toBe(port)
    expect(await primary.command('GET', 'written')).toBe('yes')
    for (const file of ['redis-url', 'topology.json', `server-${second.sentinels[0]!.port}/sentinel.conf`])
      expect((await stat(join(directory, file))).mode & 0o777).toBe(0o600)
    await expect(startSentinel(options)).rejects.toThrow(/Another hub uses .*redis-url/)
  })

  it('holds a Cluster whose servers end with their starter, even by kill -9, and come back', async () => {
    const directory = await folder()
    const first = await starter(directory)
    const [, slot] = await first.ask('set')
    expect(first.pids).toHaveLength(6)
    first.process.kill('SIGKILL')
    for (const pid of first.pids) await until(`${pid} is gone`, async () => !isAlive(pid))
    const second = await starter(directory)
    expect(second.url).toBe(first.url)
    expect(await second.ask('get')).toEqual(['yes', slot])
  })

  it('is refused to servers in containers, which would not reach each other', async () => {
    const server = { ...inject('redisServer'), image: 'redis:8' }
    await expect(startSentinel({ server, directory: await folder() })).rejects.toThrow(/in containers/)
  })

  it('gets other ports than the usual ones where one of those is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    onTestFinished(() => void taken.close())
    const { port } = taken.address() as { port: number }
    const lines: string[] = []
    const single = await startSingle({
      ...{ server: inject('redisServer'), directory: await folder(), persist: false, ports: [port] },
      report: (line) => lines.push(line),
    })
    onTestFinished(single.stop)
    expect(new URL(single.url).port).not.toBe(String(port))
    expect(lines.join()).toContain(`${port} are free`)
  })

  /** Another process that starts a Cluster on the directory and lives until it is killed. */
  async function starter(directory: string) {
    const module = new URL('../../infra/local-redis/cluster.ts', import.meta.url).href
    const program = `import { startCluster } from ${JSON.stringify(module)}
      const cluster = await startCluster(${JSON.stringify({ server: inject('redisServer'), directory })})
      console.log(JSON.stringify({ url: cluster.url, pids: cluster.nodes.map(({ pid }) => pid) }))
      process.stdin.on('data', async (word) => {
        const slot = await cluster.slotOf('durable')
        const owner = await cluster.ownerOf(slot)
        const reply = String(word) === 'set'
          ? await owner.command('SET', 'durable', 'yes') : await owner.command('GET', 'durable')
        console.log(JSON.stringify([reply, slot]))
      })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program])
    onTestFinished(() => void child.kill('SIGKILL'))
    let said = ''
    child.stderr.on('data', (part) => (said += part))
    const heard = async () => {
      const ended = once(child, 'close').then(() => Promise.reject(new Error(said)))
      return JSON.parse(String((await Promise.race([once(child.stdout, 'data'), ended]))[0]))
    }
    const started = (await heard()) as { url: string; pids: number[] }
    const ask = (word: string): Promise<[string, number]> => {
      child.stdin.write(word)
      return heard()
    }
    return { ...started, process: child, ask }
  }
})

describe('npm run redis', () => {
  it('prints the address to paste and its servers, until Ctrl-C ends them', async () => {
    const redis = command(['sentinel'], await folder())
    await until('it is up', async () => /npm start/.test(redis.said()))
    const url = /^REDIS_URL='(redis\+sentinel:.*)' npm start$/m.exec(redis.said())?.[1]
    expect(url).toMatch(/sentinel_password=/)
    const pids = [...redis.said().matchAll(/^ {2}(primary|replica|sentinel) .*pid (\d+)$/gm)].map(
      (row) => row[2],
    )
    expect(pids).toHaveLength(6)
    redis.process.kill('SIGINT')
    expect(await redis.code).toBe(0)
    for (const pid of pids) expect(isAlive(Number(pid))).toBe(false)
  })

  it.each([[[]], [['ring']], [['cluster', 'two']]])('shows its usage for %j', async (args) => {
    const redis = command(args, await folder())
    expect(await redis.code).toBe(2)
    expect(redis.said()).toMatch(/npm run redis -- <topology>.*single.*sentinel.*cluster/s)
  })

  function command(args: string[], data: string) {
    const child = spawn(process.execPath, [join(root, 'infra/redis.ts'), ...args], {
      cwd: root,
      env: { PATH: process.env.PATH, HUB_DATA_DIR: data },
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (text += part))
    return { process: child, said: () => text, code: once(child, 'close').then(([code]) => code) }
  }
})

describe('a test project', () => {
  it('names a topology that there is', () => {
    expect(toTopology('cluster')).toBe('cluster')
    expect(() => toTopology('ring')).toThrow(/no topology `ring`: it is one of single, sentinel, cluster/)
  })
})

const names = (roles: readonly NodeRole[]) =>
  roles
    .map(({ role }) => role)
    .sort()
    .join(' ')

async function folder(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hub-topologies-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

const accepts = async (node: TopologyNode) =>
  (await node.command('SET', 'written', 'yes').catch(String)) === 'OK'

async function connect({ nodes, password }: { nodes: TopologyNode[]; password: string }) {
  const client = createCluster({ rootNodes: nodes.map(({ url }) => ({ url })), defaults: { password } })
  client.on('error', () => {})
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: async () => client.destroy() })
}

async function refusesStrangers({ port }: TopologyNode) {
  const client = createClient({ socket: { port, host: '127.0.0.1', reconnectStrategy: false } })
  client.on('error', () => {})
  await expect(client.connect().then(() => client.sendCommand(['PING']))).rejects.toThrow(/NOAUTH/)
  client.destroy()
}

async function isClosed(port: number) {
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  server.close()
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
