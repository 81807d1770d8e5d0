import {
  type Command,
  type CommandCall,
  EXIT,
  hubOptions,
  numberOption,
  textOption,
  UsageError,
} from './command.ts'
import { createHubClient, type HubClient } from './hub-client.ts'
import { dim, oneLine, printJson, shown, styled } from './output.ts'

interface DeadLetter {
  id: string
  cause: string
  attempts: number
  at: string
  event?: unknown
}

/** Where dead letters lie. */
interface Place {
  hub: HubClient
  /** `/v1/events/orders/dead` */
  path: string
  /** Where their number is told. */
  counts: string
  isQueue: boolean
}

export const dead: Command = {
  usage: '[list|replay] --stream <name> | --queue <name> [ids…]',
  about: 'shows what was given up and why, and puts it back',
  options: {
    ...hubOptions,
    stream: { type: 'string', value: 'name', about: 'of events' },
    queue: { type: 'string', value: 'name', about: 'of jobs' },
    limit: { type: 'string', value: 'number', about: 'of those shown; 100 by default' },
    all: { type: 'boolean', about: 'replay: every one' },
    cause: { type: 'string', value: 'text', about: 'replay: those whose cause holds it' },
  },
  examples: ['dead --stream orders', 'dead replay --stream orders --cause "timed out"'],

  async run(call) {
    const [action = 'list', ...ids] = call.positionals
    if (action === 'list' && ids.length === 0) return list(call, placeOf(call))
    if (action !== 'list' && action !== 'replay')
      throw new UsageError(`There is no \`dead ${action}\`, only list and replay.`)
    if (action === 'list') throw new UsageError('list takes no ids.')
    const cause = textOption(call, 'cause')
    if ([ids.length > 0, call.values.all === true, cause !== undefined].filter(Boolean).length !== 1)
      throw new UsageError('Say which to replay: ids, or --cause, or --all.')
    const place = placeOf(call)
    const replayed = ids.length > 0 ? await replay(place, ids) : await replayAll(place, cause)
    if (call.values.json) printJson({ replayed })
    else console.log(`${replayed} put back`)
    const asked = ids.length
    if (replayed >= asked) return EXIT.ok
    console.error(`${asked - replayed} of them are no dead letters (any more).`)
    return EXIT.notFound
  },
}

async function list(call: CommandCall, { hub, path }: Place): Promise<number> {
  const limit = numberOption(call, 'limit') ?? 100
  const reply = await hub.json<{ data: DeadLetter[]; next?: string | null }>(`${path}?limit=${limit}`)
  if (call.values.json) {
    printJson(reply)
    return EXIT.ok
  }
  if (reply.data.length === 0) console.log('Nothing was given up.')
  for (const { id, cause, attempts, at, event } of reply.data) {
    console.log(`${styled('cyan', shown(id))}  ${at}  after ${attempts} ${attempts === 1 ? 'try' : 'tries'}`)
    console.log(`  ${styled('red', oneLine(cause, 500))}`)
    if (event) console.log(`  ${dim(oneLine(JSON.stringify(event), 300))}`)
  }
  if (reply.data.length === limit) console.log(dim('There may be more: --limit, up to 1000.'))
  return EXIT.ok
}

/** Returns how many were there. */
async function replay({ hub, path, isQueue }: Place, ids: string[]): Promise<number> {
  const body = { ids }
  const reply = await hub.json<{ replayed: number | string[] }>(`${path}/replay`, { method: 'POST', body })
  return isQueue ? (reply.replayed as string[]).length : (reply.replayed as number)
}

/** As many as there are now: what dies again meanwhile is not tried for ever. */
async function replayAll(place: Place, cause: string | undefined): Promise<number> {
  const { hub, path, counts, isQueue } = place
  const most = (await hub.json<{ dead: number }>(counts)).dead
  let replayed = 0
  let after: string | undefined
  while (replayed < most) {
    if (isQueue) {
      const { data } = await hub.json<{ data: DeadLetter[] }>(`${path}?limit=1000`)
      const ids = data.filter((one) => !cause || one.cause.includes(cause)).map(({ id }) => id)
      const back = ids.length > 0 ? await replay(place, ids) : 0
      if (back === 0) break
      replayed += back
      continue
    }
    const body = { filter: { ...(cause && { cause }) }, after }
    const page = { method: 'POST', body }
    const reply = await hub.json<{ replayed: number; next?: string | null }>(`${path}/replay`, page)
    replayed += reply.replayed
    if (!reply.next) break
    after = reply.next
  }
  return replayed
}

function placeOf(call: CommandCall): Place {
  const [stream, queue] = [textOption(call, 'stream'), textOption(call, 'queue')]
  if ((stream === undefined) === (queue === undefined))
    throw new UsageError('Say where: --stream <name>, or --queue <name>.')
  const hub = createHubClient(call)
  const isQueue = stream === undefined
  const base = `/v1/${isQueue ? 'queues' : 'events'}/${encodeURIComponent((stream ?? queue)!)}`
  return { hub, isQueue, path: `${base}/dead`, counts: isQueue ? base : `${base}/stats` }
}
