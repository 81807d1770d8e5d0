import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, createCluster } from '@redis/client'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import type { LocalCluster } from '../../infra/local-redis/cluster.ts'
import type { LocalSentinel } from '../../infra/local-redis/sentinel.ts'
import { startSingle } from '../../infra/local-redis/single.ts'
import type { NodeRole } from '../../infra/local-redis/topology.ts'
import type { TopologyNode } from '../../infra/local-redis/topology-node.ts'
import { until } from '../support/hub.ts'
import { toTopology } from '../support/provide-redis.ts'
import { startTestCluster, startTestSentinel } from '../support/topologies.ts'

const root = new URL('../..', import.meta.url).pathname

describe('startSentinel', () => {
  let directory: string
  let sentinel: LocalSentinel
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hub-sentinel-'))
    sentinel = await startTestSentinel({ directory, persist: true })
  })
  afterAll(async () => {
    await sentinel?.stop()
    await rm(directory, { recursive: true, force: true })
  })

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
    expect(await old.command('ROLE')).toEqual(expect.arrayContaining(['slave', next.port]))
  })

  it('comes back with its ports, passwords, data and latest primary, and is not begun where a port is taken', async () => {
    const { port } = await sentinel.primary()
    await sentinel.stop()
    const taken = createServer().listen(port, '127.0.0.1')
    await once(taken, 'listening')
    await expect(startTestSentinel({ directory, persist: true })).rejects.toThrow(
      `Port ${port} is taken, by which the servers in ${directory} know each other. Free it, or`,
    )
    for (const node of sentinel.nodes) if (node.port !== port) await mustBeFree(node.port)
    taken.close()

    const { url } = sentinel
    sentinel = await startTestSentinel({ directory, persist: true })
    expect(sentinel.url).toBe(url)
    const primary = await sentinel.primary()
    expect(primary.port).toBe(port)
    expect(await primary.command('GET', 'after')).toBe('the failover')
  })

  it('keeps its secrets from other users, and its data from another start', async () => {
    for (const file of ['redis-url', 'topology.json'])
      expect(statSync(join(directory, file)).mode & 0o777).toBe(0o600)
    for (const { port } of [...sentinel.nodes, ...sentinel.sentinels])
      expect(statSync(join(directory, `server-${port}`)).mode & 0o777).toBe(0o700)
    await expect(startTestSentinel({ directory, persist: true })).rejects.toThrow(
      `Another hub uses ${directory}. To share its Redis, set REDIS_URL to the address in ${directory}/redis-url`,
    )
  })
})

describe('startCluster', () => {
  let directory: string
  let cluster: LocalCluster
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hub-cluster-'))
    cluster = await startTestCluster({ directory, persist: true })
  })
  afterAll(async () => {
    await cluster?.stop()
    await rm(directory, { recursive: true, force: true })
  })

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
    await until('its replica has it', async () => {
      const told = String(await old.command('INFO', 'replication'))
      return told.includes(`offset=${/master_repl_offset:(\d+)/.exec(told)?.[1]},`)
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
    expect(await old.command('ROLE')).toEqual(expect.arrayContaining(['slave', next.port]))
  })

  it('comes back with its ports, passwords, data and slots', async () => {
    const slot = await cluster.slotOf('kept')
    const { port } = await cluster.ownerOf(slot)
    await cluster.stop()
    const { url } = cluster
    cluster = await startTestCluster({ directory, persist: true })
    expect(cluster.url).toBe(url)
    const owner = await cluster.ownerOf(slot)
    expect(owner.port).toBe(port)
    expect(await owner.command('GET', 'kept')).toBe('yes')
  })
})

describe('every topology', () => {
  it('ends with its starter, even by kill -9', async () => {
    const module = new URL('../../infra/local-redis/sentinel.ts', import.meta.url).href
    const options = { server: inject('redisServer'), directory: await folder(), persist: false }
    const program = `import { startSentinel } from ${JSON.stringify(module)}
      const { nodes, sentinels } = await startSentinel(${JSON.stringify(options)})
      console.log(JSON.stringify([...nodes, ...sentinels].map(({ pid }) => pid)))
      setInterval(() => {}, 1_000)`
    const starter = run(['--input-type=module', '-e', program])
    await until('it is up', () => starter.said().includes(']'))
    const pids: number[] = JSON.parse(starter.said())
    expect(pids.map(isAlive)).toEqual(Array(6).fill(true))
    starter.process.kill('SIGKILL')
    await until('all are gone', () => !pids.some(isAlive))
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

  it('is refused to servers in containers, which would not reach each other', async () => {
    const server = { ...inject('redisServer'), image: 'redis:8' }
    await expect(startTestCluster({ server })).rejects.toThrow(/in containers.*put a redis-server/)
  })
})

describe('npm run redis', () => {
  it('prints its servers and the address to paste, until Ctrl-C ends them', async () => {
    const redis = run([join(root, 'infra/redis.ts'), 'single'], { HUB_DATA_DIR: await folder() })
    await until('it is up', () => /^REDIS_URL='redis:.*' npm start$/m.test(redis.said()))
    const pid = Number(/^ +primary +127\.0\.0\.1:\d+ +pid (\d+)$/m.exec(redis.said())?.[1])
    expect(isAlive(pid)).toBe(true)
    redis.process.kill('SIGINT')
    expect(await redis.code).toBe(0)
    expect(isAlive(pid)).toBe(false)
  })

  it.each([[[]], [['cluster', 'two']]])('shows its usage for %j', async (args) => {
    const redis = run([join(root, 'infra/redis.ts'), ...args])
    expect(await redis.code).toBe(2)
    expect(redis.said()).toMatch(/npm run redis -- <topology>.*single.*sentinel.*cluster/s)
  })
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

/** Node, with what it says, as a process that ends with the test. */
function run(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, args, { cwd: root, env: { PATH: process.env.PATH, ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (text += part))
  return { process: child, said: () => text, code: once(child, 'close').then(([code]) => code) }
}

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

async function mustBeFree(port: number) {
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
