import { HubError } from '../errors.ts'
import { CLOCK_SKEW_MS } from '../features/features.ts'
import { datasetKeys, datasetsKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { readRowsScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import { checkDatasetName, keptMs, unknownDataset } from './datasets.ts'

/** Which rows, and as they were known when. */
export interface Selection {
  /** Unix ms of a row's own time; `to` is not included. */
  from?: number
  to?: number
  /** Only rows with a label, or only those without. */
  labelled?: boolean
  /** Id of a row: only those recorded after it. */
  after?: string
  /** Unix ms: rows of later times, and labels that were known only later, are left out. By default nothing is. */
  asOf?: number
}

/** A row with its label, as JSON. */
export interface DatasetRow {
  /** `{id, at, entity?, features, output?, model?}` */
  json: string
  label?: { json: string; at: number }
}

export interface DatasetReaderOptions {
  redis: Redis
  clock: Clock
  /** Most calls to Redis that one reading may make, where the runtime bounds them. */
  callBudget?: number
}

/** A page: so many rows are looked at, and no more than that is read, which holds up Redis for a few milliseconds. */
const PAGE = { rows: 1_000, bytes: 1_048_576 }
const SLOW = { timeoutMs: 2_000 }
/** Unix ms of the last time that there is; JavaScript's dates end here. */
const END_OF_TIME = 8.64e15

/** Reads datasets page by page, in the order in which rows were recorded. */
export function createDatasetReader({ redis, clock, callBudget }: DatasetReaderOptions) {
  return {
    /**
     * Pages of rows, read one at a time as they are asked for, some of them empty. A row carries the features that were served with it, so
     * a model trained on it sees nothing that was not known at its time; and with `asOf` no label either that came to be known after it.
     *
     * Errors: 404 for the dataset, 400 for `after`; 422 `range_too_large` where the runtime makes no more calls.
     */
    async *pages(tenant: string, name: string, wanted: Selection): AsyncGenerator<DatasetRow[]> {
      checkDatasetName(name)
      const { rows, ids } = datasetKeys(tenant, name)
      const { from = -END_OF_TIME, asOf = END_OF_TIME, labelled, after } = wanted
      const before = Math.min(wanted.to ?? END_OF_TIME, asOf + 1)
      const [text, known] = await redis.wave(
        [
          ['HGET', datasetsKey(tenant), name],
          ['HMGET', ids, '', ...(after === undefined ? [] : [after])],
        ],
        SLOW,
      )
      for (const reply of [text, known]) if (reply instanceof Error) throw reply
      if (text === null) throw unknownDataset(name)
      const [late, last] = known as [string | null, string | null | undefined]
      if (after !== undefined && !last) throw unknownRow(after)

      // Rows lie by when they were recorded, which is some time after, or a sender's clock before, their own time.
      const kept = keptMs(JSON.parse(text as string))
      const recorded = Math.max(from - 2 * CLOCK_SKEW_MS, kept > 0 ? clock.now() - kept : 0, 0)
      const end = before + Number(late ?? 0)
      let place = last ? `(${last.split('\n')[0]}` : String(recorded)
      for (let calls = 2; ; calls++) {
        if (calls >= (callBudget ?? Number.POSITIVE_INFINITY)) throw tooMany()
        const args = [place, end < END_OF_TIME ? Math.max(0, end) : '+', from, before, PAGE.rows, PAGE.bytes]
        const call = { script: readRowsScript, keys: [rows, ids], args }
        const [next, ...flat] = (await send(redis, call, SLOW)) as string[]
        const page: DatasetRow[] = []
        for (let i = 0; i < flat.length; i += 2) {
          const label = labelAt(flat[i + 1]!, asOf)
          if (labelled === undefined || labelled === (label !== undefined))
            page.push({ json: flat[i]!, label })
        }
        yield page
        if (next === '') return
        place = `(${next}`
      }
    },
  }
}

export type DatasetReader = ReturnType<typeof createDatasetReader>

/** A line of the export. */
export function toLine({ json, label }: DatasetRow): string {
  if (!label) return `${json}\n`
  return `${json.slice(0, -1)},"label":${label.json},"label_at":"${new Date(label.at).toISOString()}"}\n`
}

/** The newest of the labels that was known then. */
function labelAt(lines: string, asOf: number): DatasetRow['label'] {
  if (lines === '') return undefined
  for (const line of lines.split('\n').reverse()) {
    const space = line.indexOf(' ')
    const at = Number(line.slice(0, space))
    if (at <= asOf) return { json: line.slice(space + 1), at }
  }
  return undefined
}

const unknownRow = (id: string) =>
  new HubError({
    code: 'row_not_found',
    status: 400,
    message: `after: there is no row \`${id}\`. It may have gone because of the dataset's bounds; read from its time on instead.`,
    param: 'after',
  })

const tooMany = () =>
  new HubError({
    code: 'range_too_large',
    status: 422,
    message:
      'This runtime makes no more calls to Redis in one request. Ask for a shorter time, or with a `limit`, and go on with `after`.',
  })
