import { HubError } from '../errors.ts'

/** What a caller asks of the cache (RFC 9111 request directives, `x-hub-cache-ttl`, `x-hub-semantic`), and of the request log. */
export interface CacheDirectives {
  read: boolean
  write: boolean
  onlyIfCached: boolean
  /** Accept only entries younger than this. */
  maxAgeSeconds: number
  /** Exact; without it the default hour, shortened by up to 10 %. */
  ttlSeconds?: number
  /** An answer to a question that asks the same may be served: the least similarity that the caller names, or 0. */
  semantic?: number
  /** Neither messages nor answer may be logged: `x-hub-log-content: off`, or `no-store`. */
  unlogged?: true
}

const DEFAULTS: CacheDirectives = {
  read: true,
  write: true,
  onlyIfCached: false,
  maxAgeSeconds: Number.POSITIVE_INFINITY,
}

/** A year: Redis would take more, nobody means it. */
const LONGEST_TTL_SECONDS = 31_536_000

export function readCacheDirectives(header: (name: string) => string | undefined): CacheDirectives {
  const control = header('cache-control')
  const ttl = header('x-hub-cache-ttl')
  const semantic = header('x-hub-semantic')
  const logContent = header('x-hub-log-content')
  if ((control ?? ttl ?? semantic ?? logContent) === undefined) return DEFAULTS
  const directives = { ...DEFAULTS }
  for (const part of control?.split(',') ?? []) {
    const [name, value] = part.trim().toLowerCase().split('=')
    if (name === 'no-store') Object.assign(directives, { read: false, write: false, unlogged: true })
    else if (name === 'no-cache') directives.read = false
    else if (name === 'only-if-cached') directives.onlyIfCached = true
    else if (name === 'max-age')
      directives.maxAgeSeconds = seconds('cache-control', value?.replaceAll('"', ''), 0)
  }
  if (ttl !== undefined) directives.ttlSeconds = seconds('x-hub-cache-ttl', ttl.trim(), 1)
  if (semantic !== undefined) directives.semantic = similarity(semantic.trim().toLowerCase())
  if (logContent !== undefined && isOff(logContent.trim().toLowerCase())) directives.unlogged = true
  return directives
}

function isOff(value: string): boolean {
  if (value === 'off' || value === 'on') return value === 'off'
  const message = 'x-hub-log-content: write `off`, or `on` for what the hub is set to.'
  throw new HubError({ code: 'invalid_header', status: 400, message, param: 'x-hub-log-content' })
}

function similarity(value: string): number | undefined {
  if (value === 'off') return undefined
  if (value === 'on') return 0
  const number = /^\d?\.?\d+$/.test(value) ? Number(value) : Number.NaN
  if (number >= 0 && number <= 1) return number
  const message = 'x-hub-semantic: write `on`, `off`, or the least similarity from 0 to 1.'
  throw new HubError({ code: 'invalid_header', status: 400, message, param: 'x-hub-semantic' })
}

function seconds(param: string, value: string | undefined, least: number): number {
  const number = /^\d{1,9}$/.test(value ?? '') ? Number(value) : -1
  if (number >= least && number <= LONGEST_TTL_SECONDS) return number
  const message = `${param}: seconds must be a whole number from ${least} to ${LONGEST_TTL_SECONDS}.`
  throw new HubError({ code: 'invalid_header', status: 400, message, param })
}
