/** Before every entry. */
export const BEGINNING = '0-0'

const LAST = '18446744073709551615'
const ID = /^(\d{1,20})(?:-(\d{1,20}))?$/

/** A stream id as Redis takes it, `<ms>-<n>`; undefined for what is none. */
export function parseStreamId(text: string): string | undefined {
  const [, ms, n = '0'] = ID.exec(text) ?? []
  if (ms === undefined) return undefined
  const parts = [ms, n].map((part) => part.replace(/^0+(?=\d)/, ''))
  return parts.some((part) => compareNumbers(part, LAST) > 0) ? undefined : parts.join('-')
}

/** The id that no entry has, just before everything from that time on. */
export const justBefore = (unixMs: number) => (unixMs <= 0 ? BEGINNING : `${Math.floor(unixMs) - 1}-${LAST}`)

/** Whether an entry may have it: neither the beginning nor a time. */
export const isEntryId = (id: string) => id !== BEGINNING && !id.endsWith(`-${LAST}`)

/** Negative, 0 or positive. Exact beyond 2^53. */
export function compareStreamIds(a: string, b: string): number {
  if (a === b) return 0
  const [aMs, aN] = a.split('-') as [string, string]
  const [bMs, bN] = b.split('-') as [string, string]
  return compareNumbers(aMs, bMs) || compareNumbers(aN, bN)
}

function compareNumbers(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : a > b ? 1 : 0
}
