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

/**
 * So many more than a window has are kept, and as many as came in at once: what comes again finds the windows that it had. Values that few
 * digits tell are cheapest: Redis holds short ones, and no more of them than 128, in one piece.
 */
const KEPT_BESIDES = 16

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
        ...[window.length, window.length + KEPT_BESIDES + rows.length, window.ttlSeconds * 1_000],
        ...rows.flatMap((row) => [row.place, memberOf(row, window)]),
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

const memberOf = ({ values, id }: OpenRow, { from }: PlannedWindow) =>
  `${listOf(values[from]!).join(' ')} ${id.replaceAll(' ', '%20')}`

function toValue(text: string, { length, width, fill }: PlannedWindow): Value {
  const parts = text.split(' ')
  const held = parts.length / (width + 1)
  const all = new Array<number>(length * width)
  const missing = length - held
  for (let n = 0; n < length; n++) {
    // While there are fewer, the oldest one stands in for those before it.
    const first = Math.max(0, n - missing) * (width + 1)
    const isThere = n >= missing || fill === 'first'
    for (let at = 0; at < width; at++)
      all[n * width + at] = isThere ? Number(parts[first + at]) : (fill as number)
  }
  return all.length === 1 ? all[0]! : all
}
