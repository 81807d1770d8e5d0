import { windowKey } from '../../keys.ts'
import type { ScriptCall } from '../../ports/redis.ts'
import { pushWindowScript } from '../../scripts.generated.ts'
import type { Replies } from '../../send.ts'
import type { PlannedWindow } from './plan.ts'
import { listOf, type Value } from './value.ts'

/** A row that is being worked on. */
export interface OpenRow {
  /** Tells it from all others: one that comes again counts once. */
  id: string
  /** In the order that rows came in: Unix ms, a part of one for those that came in the same. */
  place: number
  /** By slot. */
  values: Value[]
}

/** So many more than a window has are kept, that a row which comes again a little late finds the window that it had. */
const KEPT_BESIDES = 64

/** One script call for each entity's window, for a wave of the caller's own; its rows get their window from the replies. */
export function pushWindow(
  tenant: string,
  pipeline: string,
  window: PlannedWindow,
  rows: readonly OpenRow[],
) {
  const ofEntity = Map.groupBy(rows, ({ values }) => String(values[window.by]))
  const calls = [...ofEntity].map(
    ([entity, rows]): ScriptCall => ({
      script: pushWindowScript,
      keys: [windowKey(tenant, pipeline, window.id, entity)],
      args: [
        ...[window.length, window.length + KEPT_BESIDES, window.ttlSeconds * 1_000],
        ...rows.flatMap((row) => [row.place, `${listOf(row.values[window.from]!).join(',')} ${row.id}`]),
      ],
    }),
  )
  return {
    calls,
    settle(replies: Replies): void {
      if (replies instanceof Error) throw replies
      for (const [n, rows] of [...ofEntity.values()].entries()) {
        const windows = replies[n]!
        if (windows instanceof Error) throw windows
        for (const [i, row] of rows.entries()) {
          row.values[window.to] = toValue((windows as string[])[i]!, window)
        }
      }
    },
  }
}

function toValue(text: string, { length, width, fill }: PlannedWindow): Value {
  // Every other part is an id.
  const held = text.split(' ').filter((_, n) => n % 2 === 0)
  const numbers = width === 1 ? held.map(Number) : held.flatMap((value) => value.split(',').map(Number))
  const missing = length * width - numbers.length
  const first = numbers.slice(0, width)
  const before = Array.from({ length: missing }, (_, n) => (fill === 'first' ? first[n % width]! : fill))
  const all = [...before, ...numbers]
  return all.length === 1 ? all[0]! : all
}
