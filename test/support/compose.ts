import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { inject } from 'vitest'
import {
  type DebianPackages,
  fetchedPackages,
  fetchPackages,
  unpackedCommand,
} from '../../infra/debian/fetch-packages.ts'
import { run } from '../../infra/debian/run-command.ts'
import { freePorts } from '../../infra/local-redis/free-ports.ts'
import { until } from './hub.ts'

const root = new URL('../..', import.meta.url).pathname

/** What Compose makes of a service, as far as tests look at it. */
export interface Service {
  image?: string
  build?: { context: string; dockerfile: string }
  /** Null where it is the image's own. */
  command: string[] | null
  environment?: Record<string, string>
  networks?: Record<string, { ipv4_address?: string } | null>
  ports?: { host_ip: string; published: string; target: number }[]
  volumes?: { type: string; source: string; target: string; read_only?: boolean }[]
  configs?: { source: string; target: string }[]
  tmpfs?: string[]
  healthcheck?: { test?: string[]; disable?: boolean }
  depends_on?: Record<string, { condition: string }>
  deploy?: { resources: { limits: { cpus: number; memory: string } } }
  user?: string
  restart?: string
  read_only?: boolean
  cap_drop?: string[]
  security_opt?: string[]
}

export interface Project {
  services: Record<string, Service>
  networks: Record<string, { internal?: boolean }>
  volumes: Record<string, unknown>
  configs: Record<string, { file: string }>
}

const unpacked: DebianPackages<{ command: string; args: string[] }> = {
  label: 'Docker Compose',
  packages: ['docker-compose', 'libc6'],
  directory: join(root, '.cache/compose'),
  async probe(folder) {
    const program = await unpackedCommand(folder, 'usr/libexec/docker/cli-plugins/docker-compose')
    await run(program.command, [...program.args, 'version'], { timeoutMs: 10_000 })
    return program
  },
}

const findCompose = async () => (await fetchedPackages(unpacked)) ?? fetchPackages(unpacked, console.log)

/** `docker compose config` by the real Compose, which asks no engine: it parses, fills in, merges and validates. Throws what it says. */
export async function composeConfig(profile: string, env: Record<string, string>, ...more: string[]) {
  const { command, args } = await findCompose()
  const files = ['infra/compose.yaml', ...more].flatMap((file) => ['-f', join(root, file)])
  const { stdout } = await promisify(execFile)(
    command,
    [...args, '--env-file', '/dev/null', ...files, '--profile', profile, 'config', '--format', 'json'],
    { env: { PATH: process.env.PATH, ...env }, timeout: 30_000 },
  )
  return JSON.parse(stdout) as Project
}

/**
 * The Redis services of a project as processes on loopback: their own commands and environments, where each address has become a port.
 *
 * @example await using up = await startServices(await composeConfig('cluster', env))
 */
export async function startServices(project: Project) {
  const directory = await mkdtemp(join(tmpdir(), 'hub-compose-'))
  const bin = await programs(join(directory, 'bin'))
  const servers = Object.entries(project.services).filter(([, { command }]) => roleOf(command))
  const ports: number[] = []
  while (ports.length < servers.length) ports.push(await freePair(ports))
  const addresses = servers.map(([name, service], i) => {
    const from = service.networks?.redis?.ipv4_address ?? name
    return { from, inside: service.environment?.REDIS_PORT ?? '6379', to: ports[i]! }
  })
  /** `address:port` and `address port` become this machine's. */
  const local = (text: string) =>
    addresses.reduce(
      (replaced, { from, inside, to }) =>
        replaced
          .replaceAll(
            new RegExp(`(?<![\\w.-])${RegExp.escape(from)}([: ])${inside}\\b`, 'g'),
            `127.0.0.1$1${to}`,
          )
          .replaceAll(new RegExp(`^${RegExp.escape(from)}$`, 'g'), '127.0.0.1'),
      text,
    )
  const localEnv = (environment: Record<string, string> = {}) =>
    Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, local(value)]))
  const mounted = (service: Service, path: string) => {
    const config = service.configs?.find(({ target }) => target === path)
    return config ? project.configs[config.source]!.file : path
  }
  const running: (ChildProcess | undefined)[] = []
  const stop = async () => {
    process.off('exit', kill)
    const ended = running.map(
      async (child) => child && (child.exitCode ?? child.signalCode ?? once(child, 'exit')),
    )
    kill()
    await Promise.all(ended)
    await rm(directory, { recursive: true, force: true })
  }
  const kill = () => {
    for (const child of running) child?.kill('SIGKILL')
  }
  process.once('exit', kill)

  /** What a container would run, with the names in it of this machine. */
  function prepare(service: Service, command: string[], i: number) {
    const tls = service.volumes?.find(({ target }) => target === '/tls')?.source
    const env = {
      ...localEnv(service.environment),
      ...{
        PATH: `${bin}:${process.env.PATH}`,
        REDIS_BIND: '127.0.0.1',
        REDIS_PORT: String(ports[i] ?? 6379),
      },
      ...{ REDIS_DATA: join(directory, String(i)), ...(tls && { REDIS_TLS: tls }) },
    }
    const [program = '', ...args] = command
    return { program, args: args.map((arg) => local(mounted(service, arg))), env }
  }
  async function finish(service: Service, command: string[], i: number) {
    const { program, args, env } = prepare(service, command, i)
    return promisify(execFile)(program, args, { env, timeout: 60_000 })
  }

  async function start(i: number) {
    const [name, service] = servers[i]!
    const { program, args, env } = prepare(service, service.command!, i)
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    running[i] = child
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (said += part))
    await until(`${name} is healthy`, async () => {
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}:\n${said}`)
      const [, ...check] = service.healthcheck!.test!
      return finish(service, check, i).then(
        () => true,
        () => sleep(100, false),
      )
    })
  }
  const indexOf = (name: string) => servers.findIndex(([other]) => other === name)

  try {
    await Promise.all(
      servers.map(async (_, i) => {
        await mkdir(join(directory, String(i)))
        await start(i)
      }),
    )
    for (const service of Object.values(project.services)) {
      if (service.command?.includes('create-cluster')) await finish(service, service.command, -1)
    }
  } catch (error) {
    await stop()
    throw error
  }
  return {
    ports: Object.fromEntries(servers.map(([name], i) => [name, ports[i]!])),
    async kill(name: string) {
      const child = running[indexOf(name)]!
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
    /** As its restart policy does it: on the same volume. */
    again: (name: string) => start(indexOf(name)),
    /** A service's environment, for this machine. */
    environmentOf: (name: string) => localEnv(project.services[name]!.environment),
    /** Of redis-cli, as a service's administrator, at itself. */
    async cli(name: string, ...args: string[]) {
      const i = indexOf(name)
      const at = ['-p', String(ports[i])]
      const { stdout } = await finish(servers[i]![1], ['sh', '/hub/redis.sh', 'cli', ...at, ...args], i)
      return stdout.trim()
    },
    [Symbol.asyncDispose]: stop,
  }
}

/** A port whose cluster bus, 10,000 above it, is free too, and lies below what systems take for outgoing connections. */
async function freePair(taken: number[]): Promise<number> {
  for (let tries = 0; tries < 1_000; tries++) {
    const [port = 0] = await freePorts(1)
    const bus = port + 10_000
    if (bus < 32_000 && !taken.includes(port) && (await freePorts(1, [bus]))[0] === bus) return port
  }
  throw new Error('No port was found whose cluster bus is free')
}

/** The role that redis.sh is given, of a service that is a Redis server which can run here. */
const roleOf = (command?: string[] | null) =>
  command?.find((part) => ['single', 'primary', 'replica', 'sentinel', 'cluster'].includes(part))

/** redis-server and redis-cli of the tests, by these names. */
async function programs(folder: string): Promise<string> {
  await mkdir(folder)
  const { command, args } = inject('redisServer')
  const server = args.at(-1) ?? command
  const toCli = (part: string) => (part === server ? join(dirname(server), 'redis-cli') : part)
  for (const [name, parts] of [
    ['redis-server', [command, ...args]],
    ['redis-cli', [command, ...args].map(toCli)],
  ] as const) {
    const quoted = parts.map((part) => `'${part}'`).join(' ')
    await writeFile(join(folder, name), `#!/bin/sh\nexec ${quoted} "$@"\n`)
    await chmod(join(folder, name), 0o755)
  }
  return folder
}
