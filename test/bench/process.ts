import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A process of a bench, which ends with the bench. */
export interface BenchProcess {
  /** Sends a message and waits for the one that comes back. */
  ask<Answer>(question: object): Promise<Answer>
  stop(): Promise<void>
}

/** A process that is measured. */
export interface BenchServer extends BenchProcess {
  pid: number
  /** The first address that it printed. */
  url: string
  /** User and system time since its start. */
  cpuMicroseconds(): Promise<number>
  /** Resident memory, after garbage was collected. */
  residentBytes(): Promise<number>
}

const ROOT = new URL('../../', import.meta.url)

/** Runs a file of this project that answers messages. */
export function startProcess(file: string): BenchProcess {
  return toProcess(launch(file, {}), file)
}

/** Runs a file of this project that serves HTTP, with these variables only. */
export async function startServer(
  file: string,
  variables: Record<string, string>,
  args: string[],
): Promise<BenchServer> {
  const monitor = new URL('cpu-monitor.ts', import.meta.url).href
  const child = launch(file, { args, env: variables, execArgv: ['--import', monitor, ...NODE_OPTIONS] })
  const server = toProcess(child, file)
  return {
    ...server,
    pid: child.pid!,
    url: await firstAddress(child, file),
    async cpuMicroseconds() {
      const { user, system } = await server.ask<NodeJS.CpuUsage>({ cpu: true })
      return user + system
    },
    residentBytes: async () => (await server.ask<{ rss: number }>({ memory: true })).rss,
  }
}

/** To profile what is measured, e.g. `BENCH_NODE_OPTIONS='--cpu-prof --cpu-prof-dir=profiles'`. */
const NODE_OPTIONS = process.env.BENCH_NODE_OPTIONS?.split(' ') ?? []

interface Launch {
  args?: string[]
  env?: Record<string, string>
  execArgv?: string[]
}

function launch(file: string, { args = [], ...options }: Launch): ChildProcess {
  return fork(fileURLToPath(new URL(file, ROOT)), args, {
    cwd: fileURLToPath(ROOT),
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    ...options,
  })
}

function toProcess(child: ChildProcess, file: string): BenchProcess {
  const exited = once(child, 'exit')
  const died = exited.then(() => {
    throw new Error(`${file} ended during the bench`)
  })
  died.catch(() => {}) // told to whoever asks
  return {
    async ask<Answer>(question: object) {
      child.send(question)
      const [answer] = await Promise.race([once(child, 'message'), died])
      return answer as Answer
    },
    async stop() {
      child.kill('SIGTERM')
      await exited
    },
  }
}

function firstAddress(child: ChildProcess, file: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let printed = ''
    child.stdout!.on('data', (data) => {
      printed += data
      const address = /http:\/\/127\.0\.0\.1:\d+/.exec(printed)?.[0]
      if (address) resolve(address)
    })
    child.once('exit', (code) => reject(new Error(`${file} ended with ${code}:\n${printed}`)))
  })
}
