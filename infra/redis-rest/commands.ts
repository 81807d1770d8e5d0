/** A request that is refused before Redis sees it: status 400. */
export class BadRequest extends Error {
  override name = 'BadRequest'
}

const MOST_COMMANDS = 10_000

/** What would change or hold up the one connection that all requests share. */
const REFUSED = new Map<string, string>([
  ...reason('it would change the connection that all requests share', [
    ...['AUTH', 'HELLO', 'RESET', 'QUIT', 'SELECT', 'CLIENT', 'ASKING', 'READONLY', 'READWRITE', 'MONITOR'],
    ...['SYNC', 'PSYNC', 'REPLCONF'],
  ]),
  ...reason('send the transaction to /multi-exec', ['MULTI', 'EXEC', 'DISCARD', 'WATCH', 'UNWATCH']),
  ...reason('use /subscribe/<channel> or /psubscribe/<pattern>', [
    ...['SUBSCRIBE', 'UNSUBSCRIBE', 'PSUBSCRIBE', 'PUNSUBSCRIBE', 'SSUBSCRIBE', 'SUNSUBSCRIBE'],
  ]),
  ...reason('it blocks', [
    ...[
      'BLPOP',
      'BRPOP',
      'BRPOPLPUSH',
      'BLMOVE',
      'BLMPOP',
      'BZPOPMIN',
      'BZPOPMAX',
      'BZMPOP',
      'WAIT',
      'WAITAOF',
    ],
  ]),
])

/** Why a command cannot run here, in the words of an error reply. */
export function refusal([name, ...args]: readonly string[]): string | undefined {
  const upper = name!.toUpperCase()
  const why = REFUSED.get(upper) ?? (blocks(upper, args) ? 'it blocks: leave BLOCK out' : undefined)
  return why && `ERR Command is not available: '${name!.slice(0, 64)}' (${why})`
}

/** `["SET","key","value"]` */
export function toCommand(body: Uint8Array): string[] {
  return checkCommand(parse(body))
}

/** `[["SET","key","value"],["GET","key"]]` */
export function toCommands(body: Uint8Array): string[][] {
  const commands = parse(body)
  if (!Array.isArray(commands)) throw new BadRequest('ERR expected a JSON array of commands')
  if (commands.length === 0) throw new BadRequest('ERR empty pipeline request')
  if (commands.length > MOST_COMMANDS) throw new BadRequest(`ERR more than ${MOST_COMMANDS} commands`)
  return commands.map(checkCommand)
}

/** `/set/key/value?EX=60`, a body being the last argument before those of the query. */
export function fromPath(url: URL, body: Uint8Array): string[] {
  const command = segments(url)
  if (!command[0]) throw new BadRequest('ERR empty command')
  if (body.length > 0) command.push(text(body))
  for (const [name, value] of url.searchParams) {
    if (name === '_token') continue
    command.push(name)
    if (value !== '') command.push(value)
  }
  return command
}

/** The channel or pattern of `/subscribe/<channel>`, which may hold slashes. */
export function fromSubscription(url: URL): string {
  const name = segments(url).slice(1).join('/')
  if (!name) throw new BadRequest('ERR name a channel: /subscribe/<channel>')
  return name
}

function segments(url: URL) {
  try {
    return url.pathname.slice(1).split('/').map(decodeURIComponent)
  } catch {
    throw new BadRequest('ERR the path is not percent-encoded UTF-8')
  }
}

function parse(body: Uint8Array): unknown {
  const json = text(body)
  try {
    // A number keeps the digits it was sent with, also beyond 2^53.
    return JSON.parse(json, (_, value, context?: { source: string }) =>
      typeof value === 'number' ? context!.source : value,
    )
  } catch {
    throw new BadRequest('ERR the body is not JSON')
  }
}

function text(body: Uint8Array) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
  } catch {
    throw new BadRequest('ERR the body is not UTF-8: encode bytes (base64) before storing them')
  }
}

function checkCommand(value: unknown): string[] {
  if (!Array.isArray(value)) throw new BadRequest('ERR expected a command as a JSON array')
  if (value.length === 0 || value[0] === '') throw new BadRequest('ERR empty command')
  return value.map((argument) => {
    if (typeof argument === 'string') return argument
    if (typeof argument === 'boolean') return String(argument)
    throw new BadRequest('ERR arguments are strings, numbers or booleans')
  })
}

function blocks(name: string, args: string[]) {
  if (name !== 'XREAD' && name !== 'XREADGROUP') return false
  const upper = args.map((argument) => argument.toUpperCase())
  // A group or consumer may be called BLOCK: options begin after GROUP <group> <consumer>, keys after STREAMS.
  const from = name === 'XREADGROUP' && upper[0] === 'GROUP' ? 3 : 0
  const streams = upper.indexOf('STREAMS', from)
  return upper.slice(from, streams < 0 ? undefined : streams).includes('BLOCK')
}

function reason(why: string, names: string[]) {
  return names.map((name) => [name, why] as const)
}
