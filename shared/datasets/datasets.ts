import { HubError } from '../errors.ts'
import { datasetKeys, datasetsKey, NAME } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis, ScriptCall } from '../ports/redis.ts'
import { createRecall } from '../recall.ts'
import { appendRowsScript, labelRowsScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import { checkTime, labelJson, type NewLabel, type NewRow, type StoredRow, toStored } from './dataset-row.ts'

/** What `PUT /v1/datasets/{name}` takes. */
export interface DatasetSettings {
  /** The oldest go where there are more. Default 100,000. */
  max_rows?: number
  /** Since a row was recorded; without it age does not matter. */
  max_age_days?: number
}

export type NamedDataset = Required<Pick<DatasetSettings, 'max_rows'>> & DatasetSettings & { name: string }

export interface AppendedRows {
  accepted: number
  /** Recorded before: not again. */
  duplicates: number
  /** Ids, in the order that the rows came in. */
  ids: string[]
}

const DEFAULT_MAX_ROWS = 100_000
const DAY_MS = 86_400_000
/** Corrections of a label that are kept. */
const MOST_LABELS = 16
/** More would hold up Redis for more than about 5 ms. */
const CALL_ROWS = 500
const CALL_CHARACTERS = 1_048_576

const REMEMBERED = { freshMs: 1_000, staleMs: 1_000, maxSize: 10_000 }
const SLOW = { timeoutMs: 2_000 }

/**
 * Training data: rows as they were served, in a stream, with labels that come later. A dataset that nobody set is one with the defaults,
 * and begins with its first row.
 */
export function createDatasets({ redis, clock }: { redis: Redis; clock: Clock }) {
  const recalled = createRecall<DatasetSettings>(REMEMBERED)

  const settingsOf = (tenant: string, name: string) =>
    recalled.get(`${tenant}/${name}`, async () => {
      const text = (await send(redis, ['HGET', datasetsKey(tenant), name], SLOW)) as string | null
      return text === null ? {} : JSON.parse(text)
    })

  /** As few script calls as hold Redis up for a few milliseconds each. */
  function toCalls(tenant: string, name: string, settings: DatasetSettings, rows: readonly StoredRow[]) {
    const { rows: stream, ids } = datasetKeys(tenant, name)
    const parts: StoredRow[][] = [[]]
    let characters = 0
    for (const row of rows) {
      characters += row.json.length
      if (parts.at(-1)!.length === CALL_ROWS || characters > CALL_CHARACTERS) {
        parts.push([])
        characters = row.json.length
      }
      parts.at(-1)!.push(row)
    }
    return parts.map((part): ScriptCall => {
      const args = [
        ...[settings.max_rows ?? DEFAULT_MAX_ROWS, keptMs(settings), 2 * part.length + 16],
        ...part.flatMap(({ id, at, json, label }) => [id, at, json, label]),
      ]
      return { script: appendRowsScript, keys: [stream, ids], args }
    })
  }

  async function ask(calls: (Command | ScriptCall)[]) {
    const replies = await redis.wave(calls, SLOW)
    for (const reply of replies) if (reply instanceof Error) throw reply
    return replies
  }

  const datasets = {
    /** Sets its bounds; those that are left out are as by default. What is over them goes in the work that it gives back. */
    async put(tenant: string, name: string, settings: DatasetSettings) {
      checkDatasetName(name)
      await send(redis, ['HSET', datasetsKey(tenant), name, JSON.stringify(settings)], SLOW)
      recalled.forget(`${tenant}/${name}`)
      const [call] = toCalls(tenant, name, settings, [])
      const args = [...call!.args.slice(0, 2), TRIMMED]
      async function trim() {
        for (let gone = TRIMMED; gone === TRIMMED; )
          [gone = 0] = (await send(redis, { ...call!, args }, SLOW)) as number[]
      }
      return { dataset: toNamed(name, settings), trim }
    },

    async list(tenant: string): Promise<NamedDataset[]> {
      const flat = (await send(redis, ['HGETALL', datasetsKey(tenant)], SLOW)) as string[]
      return flat
        .flatMap((name, i) => (i % 2 ? [] : [toNamed(name, JSON.parse(flat[i + 1]!))]))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    },

    /** Throws 404. */
    async stats(tenant: string, name: string) {
      checkDatasetName(name)
      const { rows } = datasetKeys(tenant, name)
      const [text, length, first, last] = (await ask([
        ['HGET', datasetsKey(tenant), name],
        ['XLEN', rows],
        ['XRANGE', rows, '-', '+', 'COUNT', 1],
        ['XREVRANGE', rows, '+', '-', 'COUNT', 1],
      ])) as [string | null, number, [string][], [string][]]
      if (text === null) throw unknownDataset(name)
      const recordedAt = (entries: [string][]) => (entries[0] ? Number.parseInt(entries[0][0], 10) : null)
      const [firstAt, lastAt] = [recordedAt(first), recordedAt(last)]
      return { ...toNamed(name, JSON.parse(text)), rows: length, firstAt, lastAt }
    },

    /** With all its rows. Throws 404. */
    async delete(tenant: string, name: string): Promise<void> {
      checkDatasetName(name)
      const { rows, ids } = datasetKeys(tenant, name)
      const [there] = await ask([
        ['HDEL', datasetsKey(tenant), name],
        ['UNLINK', rows, ids],
      ])
      recalled.forget(`${tenant}/${name}`)
      if (there === 0) throw unknownDataset(name)
    },

    /** Records rows, each id once: all are checked first, and a call may be repeated. Throws 400 with the path, 413. */
    async append(
      tenant: string,
      name: string,
      rows: readonly NewRow[],
      nameOf = (i: number) => `rows[${i}]`,
    ): Promise<AppendedRows> {
      checkDatasetName(name)
      const now = clock.now()
      const stored = rows.map((row, i) => toStored(row, now, nameOf(i)))
      const calls = toCalls(tenant, name, await settingsOf(tenant, name), stored)
      const [, ...replies] = await ask([['HSETNX', datasetsKey(tenant), name, '{}'], ...calls])
      const duplicates = (replies as number[][]).reduce((sum, reply) => sum + reply.length - 1, 0)
      return { accepted: rows.length - duplicates, duplicates, ids: stored.map(({ id }) => id) }
    },

    /**
     * Labels rows. A later label of a row counts from its own time on; the one before it still counts before that. Returns the ids of rows
     * that are not there. Throws 400 with the path, 413.
     */
    async label(
      tenant: string,
      name: string,
      labels: readonly NewLabel[],
      nameOf = (i: number) => `labels[${i}]`,
    ): Promise<string[]> {
      checkDatasetName(name)
      const now = clock.now()
      const triples = labels.flatMap(({ id, label, at = now }, i) => {
        checkTime(at, now, `${nameOf(i)}.at`)
        return [id, at, labelJson(label, `${nameOf(i)}.label`)]
      })
      const keys = [datasetKeys(tenant, name).ids]
      const call = { script: labelRowsScript, keys, args: [MOST_LABELS, ...triples] }
      return ((await send(redis, call, SLOW)) as number[]).map((i) => labels[i]!.id)
    },
  }
  return datasets
}

export type Datasets = ReturnType<typeof createDatasets>

/** Rows that one call of `put` lets go of at a time. */
const TRIMMED = 1_000

/** Throws 400. */
export function checkDatasetName(name: string): void {
  if (NAME.test(name)) return
  const message = 'name: must be 1 to 64 of A-Z a-z 0-9 _ . -'
  throw new HubError({ code: 'invalid_value', status: 400, message, param: 'name' })
}

export const unknownDataset = (name: string) =>
  new HubError({
    code: 'dataset_not_found',
    status: 404,
    message: `There is no dataset \`${name}\`. POST /v1/datasets/${name}/rows begins it.`,
    param: 'name',
  })

/** For how long a row is kept since it was recorded, ms; 0: for good. */
export const keptMs = ({ max_age_days = 0 }: DatasetSettings): number => Math.ceil(max_age_days * DAY_MS)

const toNamed = (
  name: string,
  { max_rows = DEFAULT_MAX_ROWS, max_age_days }: DatasetSettings,
): NamedDataset => ({
  ...{ name, max_rows },
  ...(max_age_days !== undefined && { max_age_days }),
})
