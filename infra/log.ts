import type { Log } from '../functions/deps.ts'
import { RedisUnavailableError } from '../shared/errors.ts'

type Line = Record<string, unknown>

/** One JSON line each: information to stdout, errors to stderr. A cause is told by name and message, its stack only for bugs. */
export const log: Log = {
  info: (line) => write(console.log, { level: 'info', ...line }, isOfRedis(line)),
  error: ({ cause, ...line }) => {
    const isOutage = cause instanceof RedisUnavailableError || isOfRedis(line)
    write(console.error, { level: 'error', ...line, cause: describe(cause) }, isOutage)
  },
}

/** While Redis is away every request and every worker says so: of lines that say the same, one is written in this time. */
const SPARED_MS = 10_000
const MOST_KNOWN = 1_000
const written = new Map<string, { until: number; more: number }>()

/** `repeated`: how many there were like it since the last one that was written. */
function write(to: (text: string) => void, line: Line, isSpared: boolean) {
  if (!isSpared) return to(JSON.stringify(line))
  const what = `${line.msg} ${line.at ?? line.cause}`
  const last = written.get(what)
  if (last && Date.now() < last.until) return last.more++
  if (written.size >= MOST_KNOWN) written.clear()
  written.set(what, { until: Date.now() + SPARED_MS, more: 0 })
  to(JSON.stringify(last?.more ? { ...line, repeated: last.more } : line))
}

const isOfRedis = ({ msg }: Line) => String(msg).startsWith('Redis connection')

function describe(cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause
  const text = `${cause.name}: ${cause.message}`
  const isBug = cause instanceof TypeError || cause instanceof RangeError || cause instanceof ReferenceError
  return isBug ? cause.stack : text
}
