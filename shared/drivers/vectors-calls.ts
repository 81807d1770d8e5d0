import { HubError, RedisReplyError, RedisTimeoutError } from '../errors.ts'
import type { Argument, Command, Redis, Reply } from '../ports/redis.ts'
import type { PlanStep, WriteOptions } from '../ports/vectors.ts'

export interface Calls {
  /** One wave a batch, one batch at a time. An error reply is thrown. `bytes`: strings come back as `Uint8Array`. */
  ask(
    redis: Redis,
    commands: readonly Command[],
    options?: { bytes?: boolean; batch?: number },
  ): Promise<Reply[]>
}

/** Writes of a few hundred chunks take seconds: each vector is led through its graph. */
const WRITE_MS = 30_000

/** So many commands a wave: Redis serves others between two of them. */
const BATCH = 1_000

/** What one call of the port asks of Redis, all of it within one deadline. */
export function createCalls({
  timeoutMs = WRITE_MS,
  signal,
  stale,
}: WriteOptions): Calls & { commands: string[] } {
  const end = performance.now() + timeoutMs
  const described: string[] = []
  return {
    commands: described,
    async ask(redis, commands, { bytes, batch = BATCH } = {}) {
      described.push(...describe(commands))
      const replies: Reply[] = []
      for (let at = 0; at < commands.length; at += batch) {
        const left = end - performance.now()
        if (left <= 0) throw new RedisTimeoutError(`The vector store was not done within ${timeoutMs} ms`)
        const some = await redis.wave(commands.slice(at, at + batch), {
          timeoutMs: left,
          signal,
          bytes,
          stale,
        })
        for (const reply of some) {
          if (reply instanceof Error) throw toVectorsError(reply)
          replies.push(reply)
        }
      }
      return replies
    },
  }
}

/** Runs one step of a search and tells how it went. */
export async function explained<T>(
  options: WriteOptions,
  work: (calls: Calls) => Promise<Pick<PlanStep, 'side' | 'name' | 'why'> & { result: T }>,
): Promise<{ result: T; step: PlanStep }> {
  const start = performance.now()
  const calls = createCalls(options)
  const { result, side, name, why } = await work(calls)
  const milliseconds = Math.round((performance.now() - start) * 1_000) / 1_000
  const step = { side, name, approximate: why !== undefined, why, commands: calls.commands, milliseconds }
  return { result, step }
}

function toVectorsError(reply: Error): Error {
  if (!(reply instanceof RedisReplyError)) return reply
  const [, command] = /^ERR unknown command '(\w+)'/.exec(reply.message) ?? []
  if (command) {
    return new HubError({
      code: 'not_supported',
      status: 501,
      message: `This Redis does not know ${command}: vector sets need Redis 8 or later.`,
      cause: reply,
    })
  }
  const message = `Redis refused to work on vectors (${reply.code}). Try again soon.`
  return new HubError({
    code: 'vectors_unavailable',
    status: 503,
    message,
    retryAfterSeconds: 1,
    cause: reply,
  })
}

const SHOWN_COMMANDS = 8
const SHOWN_ARGUMENTS = 24

/** Commands as text, without vectors; of very many the first. */
function describe(commands: readonly Command[]): string[] {
  const lines = commands.slice(0, SHOWN_COMMANDS).map((command) => {
    const parts = withoutVector(command).map((argument) =>
      typeof argument === 'object' ? `<${argument.length} bytes>` : String(argument),
    )
    const more = parts.length - SHOWN_ARGUMENTS
    return more > 0 ? `${parts.slice(0, SHOWN_ARGUMENTS).join(' ')} … ${more} more` : parts.join(' ')
  })
  const more = commands.length - lines.length
  return more > 0 ? [...lines, `… ${more} more`] : lines
}

function withoutVector(command: Command): readonly Argument[] {
  const at = command.indexOf('VALUES')
  if (at < 0) return command
  const end = at + 2 + Number(command[at + 1])
  return [...command.slice(0, at + 2), '…', ...command.slice(end)]
}
