import { MOST_SHOWN } from './snapshot.ts'

/** The first of them. */
export const listed = <Item>(items: readonly Item[], most = MOST_SHOWN) => ({
  data: items.slice(0, most),
  more: items.length > most,
})

/** Of HGETALL, and of the maps within other replies. */
export const toRecord = <Value>(flat: readonly Value[]): Record<string, Value> =>
  Object.fromEntries(flat.flatMap((name, i) => (i % 2 ? [] : [[String(name), flat[i + 1]!]])))

export const toTime = (ms: number | string) => new Date(Number(ms)).toISOString()
