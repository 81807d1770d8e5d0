import type { Log } from '../functions/deps.ts'

/** One JSON line each: information to stdout, errors to stderr. A cause is told by name and message, its stack only for bugs. */
export const log: Log = {
  info: (line) => console.log(JSON.stringify({ level: 'info', ...line })),
  error: ({ cause, ...line }) =>
    console.error(JSON.stringify({ level: 'error', ...line, cause: describe(cause) })),
}

function describe(cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause
  const text = `${cause.name}: ${cause.message}`
  const isBug = cause instanceof TypeError || cause instanceof RangeError || cause instanceof ReferenceError
  return isBug ? cause.stack : text
}
