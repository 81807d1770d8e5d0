import { setTimeout as sleep } from 'node:timers/promises'
import { HubError, RedisUnavailableError, toHubError } from '../../errors.ts'
import { type CheckData, compileDataSchema } from '../../events/data-schema.ts'
import { retryWait } from '../../models/retry-wait.ts'
import type { Tool, ToolCallContext, ToolOutcome } from './tool.ts'
import { type Action, type Args, failed } from './tool-action.ts'
import { isRefusedHere, type ToolBreaker } from './tool-breaker.ts'
import { fingerprint, type ToolCache } from './tool-cache.ts'

export interface ToolRunnerOptions {
  guard: ToolBreaker
  cache: ToolCache
  /** What nobody foresaw. */
  onError(line: { tenant: string; agent: string; tool: string; cause: unknown }): void
}

/** Of an outcome, for the model. */
const MOST_CHARACTERS = 32_000
const DEEPEST = 100

/** Makes a tool of an action: arguments are checked, results cached, calls bounded, tried again and held back where a host is down. */
export function createToolRunner({ guard, cache, onError }: ToolRunnerOptions) {
  return function toTool(action: Action): Tool {
    const { name, description, parameters, idempotent, approval, cacheTtlSeconds } = action
    let check: CheckData | undefined

    async function run(text: string, context: ToolCallContext): Promise<ToolOutcome> {
      const { tenant, caller, signal } = context
      signal.throwIfAborted()
      if (action.scope && caller.scopes && !caller.scopes.has(action.scope))
        return failed(`Not called: the agent’s key lacks the scope \`${action.scope}\`.`)
      check ??= toCheck(parameters)
      const read = readArguments(text, check)
      if ('wrong' in read) return failed(read.wrong)
      const cached = cacheTtlSeconds && fingerprint(action.identity, read.args)
      const found = cached && (await cache.read<string>(tenant, cached, signal))
      if (typeof found === 'string') return { status: 'ok', output: found, cached: true }
      const outcome = shortened(await attempts(read.args, context))
      if (cached && outcome.status === 'ok' && !outcome.effects && !outcome.wait)
        context.defer(cache.write(tenant, cached, outcome.output, cacheTtlSeconds))
      return outcome
    }

    async function attempts(args: Args, context: ToolCallContext): Promise<ToolOutcome> {
      const { tenant, agent } = context
      const deadline = performance.now() + action.timeoutMs
      const late = new AbortController()
      const timer = setTimeout(() => late.abort(tooLate(action)), action.timeoutMs)
      const bounded = { ...context, signal: AbortSignal.any([context.signal, late.signal]) }
      try {
        for (let tries = 0; ; tries++) {
          try {
            return await attempt(args, context, bounded)
          } catch (error) {
            context.signal.throwIfAborted()
            const cause =
              error instanceof HubError && error.code === 'redis_unavailable' ? error.cause : error
            if (cause instanceof RedisUnavailableError) throw cause
            if (!(error instanceof HubError)) onError({ tenant, agent, tool: name, cause: error })
            const waitMs = mayRetry(error, tries) ? retryWait(error, tries) : undefined
            if (waitMs === undefined || performance.now() + waitMs >= deadline)
              return failed(toHubError(error).message)
            await sleep(waitMs, undefined, { signal: context.signal }).catch(() =>
              context.signal.throwIfAborted(),
            )
          }
        }
      } finally {
        clearTimeout(timer)
      }
    }

    function attempt(args: Args, context: ToolCallContext, bounded: ToolCallContext): Promise<ToolOutcome> {
      const work = () => within(bounded.signal, action.invoke(args, bounded))
      const host = action.host?.(args)
      return host === undefined ? work() : guard(host, context, work)
    }

    const mayRetry = (error: unknown, tries: number) =>
      idempotent && tries < action.retries && error instanceof HubError && !isRefusedHere(error)

    return { name, description, parameters, idempotent, approval, run }
  }
}

/** A server's schema may be one that is not taken here: then the server alone checks. */
function toCheck(parameters: Record<string, unknown>): CheckData {
  try {
    return compileDataSchema(parameters)
  } catch {
    return () => undefined
  }
}

function readArguments(text: string, check: CheckData): { args: Args } | { wrong: string } {
  let args: unknown
  try {
    args = text.trim() === '' ? {} : JSON.parse(text)
  } catch (error) {
    return { wrong: `Not called: the arguments are no JSON: ${(error as Error).message}` }
  }
  if (typeof args !== 'object' || args === null || Array.isArray(args))
    return { wrong: 'Not called: the arguments must be a JSON object.' }
  if (!isWithin(args, DEEPEST))
    return { wrong: `Not called: the arguments are nested more than ${DEEPEST} levels deep.` }
  const violation = check(args)
  if (!violation) return { args }
  const at = violation.path.replace(/^\./, '') || 'the arguments'
  return { wrong: `Not called: \`${at}\`: ${violation.message}` }
}

const isWithin = (value: unknown, levels: number): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (levels > 0 && Object.values(value).every((one) => isWithin(one, levels - 1)))

/** Ends the wait where the work does not end itself. */
function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
    if (signal.aborted) abort()
  })
}

function shortened(outcome: ToolOutcome): ToolOutcome {
  const { length } = outcome.output
  if (length <= MOST_CHARACTERS) return { ...outcome, output: outcome.output.toWellFormed() }
  const shown = outcome.output.slice(0, MOST_CHARACTERS).toWellFormed()
  return {
    ...outcome,
    output: `${shown}\n\n[Cut: these are the first ${MOST_CHARACTERS} of ${length} characters.]`,
  }
}

function tooLate({ name, timeoutMs, idempotent }: Action) {
  const unknown = idempotent ? '' : ' Whether it did something is not known.'
  const message = `\`${name}\` did not end within ${timeoutMs / 1_000} s.${unknown}`
  return new HubError({ code: 'tool_timeout', status: 504, message })
}
