import { HubRequestError } from '../client/hub-request-error.ts'
import { EXIT, PROGRAM, UsageError } from './command.ts'

export interface Failure {
  exit: number
  message: string
  /** The way out, where the message does not tell it. */
  hint?: string
  code?: string
  status?: number
  param?: string
}

/** What a command that threw says and how it ends; undefined for what nobody foresaw. */
export function toFailure(error: unknown): Failure | undefined {
  if (error instanceof UsageError) return { exit: EXIT.usage, message: error.message }
  const { code, message } = error as NodeJS.ErrnoException
  if (!(error instanceof HubRequestError)) {
    // Of the operating system: a file that cannot be read.
    return error instanceof Error && 'syscall' in error ? { exit: EXIT.failed, message, code } : undefined
  }
  const { status, param } = error
  return { exit: exitOf(error), message, hint: hintOf(error), code, status: status || undefined, param }
}

function exitOf({ status, code }: HubRequestError): number {
  if (status === 0) return code === 'unreachable' || code === 'timeout' ? EXIT.unreachable : EXIT.failed
  if (status === 401 || status === 403) return EXIT.refused
  if (status === 404) return EXIT.notFound
  if (status === 429 || status === 503) return EXIT.busy
  return status === 400 ? EXIT.usage : EXIT.failed
}

function hintOf({ status, code }: HubRequestError): string | undefined {
  if (code === 'unreachable')
    return `Start one with \`${PROGRAM} start\`, or name another with --url or HUB_URL. \`${PROGRAM} doctor\` looks for what is wrong.`
  if (code === 'timeout') return 'Wait longer with --timeout, in seconds.'
  if (status === 401) return 'Set HUB_KEY to a key of this hub, or to its HUB_ADMIN_KEY.'
  if (status === 403)
    return `The key in HUB_KEY may not do that. An admin sees what it may: \`${PROGRAM} keys\`.`
  return undefined
}
