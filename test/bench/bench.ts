import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findRedisServer } from '../../infra/local-redis/find-redis.ts'
import { type LocalRedis, startRedis } from '../../infra/local-redis/run-redis.ts'
import type { LoadResult, LoadSpec } from './load.ts'
import { type BenchServer, startProcess, startServer } from './process.ts'
import { round } from './statistics.ts'

/** What a bench works with. Everything that it started ends with it. */
export interface Bench extends AsyncDisposable {
  redis: LocalRedis
  /** Starts a server in a process of its own, with these variables only. */
  start(file: string, variables?: Record<string, string>, args?: string[]): Promise<BenchServer>
  /** Loads a target and prints the measurement, unless it is only to warm up. */
  measure(target: Target, options: { connections: number; warmUp?: boolean }): Promise<Measurement>
  /** Prints one JSON line. */
  print(line: object): void
  progress(text: string): void
}

export interface Target {
  name: string
  /** Whose CPU is counted. */
  process: BenchServer
  load: Pick<LoadSpec, 'url' | 'headers' | 'body' | 'bodies' | 'unique' | 'expect'>
  /** Goes into the printed line. */
  labels?: Record<string, unknown>
}

export interface Measurement {
  requests_per_second: number
  p50_ms: number
  p99_ms: number
  /** Of the server process alone, both user and system. */
  cpu_us_per_request: number
}

const WARM_UP_SECONDS = 5

export async function startBench(seconds: number): Promise<Bench> {
  const ends = new AsyncDisposableStack()
  const progress = (text: string) => console.error(text)
  const print = (line: object) => console.log(JSON.stringify(line))

  const directory = await mkdtemp(join(tmpdir(), 'hub-bench-'))
  ends.defer(() => rm(directory, { recursive: true, force: true }))
  const server = await findRedisServer({ report: progress })
  const redis = await startRedis({ server, directory, port: 0, persist: false })
  ends.defer(redis.stop)

  async function start(file: string, variables: Record<string, string> = {}, args: string[] = []) {
    const started = await startServer(file, variables, args)
    ends.defer(started.stop)
    return started
  }
  const client = startProcess('test/bench/load.ts')
  ends.defer(client.stop)
  const load = (spec: LoadSpec) => client.ask<LoadResult>(spec)

  async function measure(
    { name, process, load: target, labels }: Target,
    options: { connections: number; warmUp?: boolean },
  ) {
    const { connections, warmUp = false } = options
    progress(`${name}: ${connections} connection(s)${warmUp ? ', warming up' : ''} …`)
    const before = await process.cpuMicroseconds()
    const result = await load({ ...target, connections, seconds: warmUp ? WARM_UP_SECONDS : seconds })
    const spent = (await process.cpuMicroseconds()) - before
    if (result.failed > 0)
      throw new Error(`${name}: ${result.failed} of ${result.requests} replies were wrong`)
    const measurement: Measurement = {
      requests_per_second: Math.round(result.requests / result.seconds),
      p50_ms: round(result.p50_ms, 3),
      p99_ms: round(result.p99_ms, 3),
      cpu_us_per_request: round(spent / result.requests, 1),
    }
    if (!warmUp) print({ target: name, ...labels, connections, ...measurement })
    return measurement
  }

  return { redis, start, measure, print, progress, [Symbol.asyncDispose]: () => ends.disposeAsync() }
}
