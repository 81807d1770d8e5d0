import type { Embeddings } from '../embeddings/embeddings.ts'
import { HubError } from '../errors.ts'
import type { FieldType } from '../filters.ts'
import { indexesKey, NAME } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import type { Metric, VectorIndex, Vectors } from '../ports/vectors.ts'
import { createRecall } from '../recall.ts'
import { replaceFieldScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import type { WriteCall } from './documents.ts'
import { type IndexRecord, readRecord } from './index-record.ts'
import { isSame, toDefinition } from './index-settings.ts'
import { indexEntry, sweepCall } from './sweep-entry.ts'

/** What `PUT /v1/indexes/{index}` takes. */
export interface IndexSettings {
  fields: Record<string, FieldType>
  /** The embedding model's own where absent. */
  dimensions?: number
  metric?: Metric
  /** `provider/model`; null for an index whose vectors come with its documents. The hub's default where absent. */
  embedding_model?: string | null
  hot_tag?: string
  quantization?: 'none' | 'int8'
  /** Of a chunk: characters, and how many of them two neighbours share, at most a third. */
  chunking?: { size: number; overlap: number }
}

/** An index of a tenant, as it was made. */
export interface Index {
  /** What the vectors port sees; its `name` is the index's own, also where it was asked for by an alias. */
  vectors: VectorIndex
  embeddingModel: string | null
  /** What to ask the model for; absent: its own length. */
  embeddingDimensions?: number
  chunking: { size: number; overlap: number }
  /** Unix ms, by Redis's clock: tells the index from an earlier one of its name. */
  createdAt: number
}

export interface Indexes {
  /** By name or alias; remembered for a second, so it mostly asks nobody. 404 `index_not_found`. */
  resolve(tenant: string, nameOrAlias: string): Promise<Index>
  /**
   * Makes it, or returns what is there where the settings are the same; 409 `index_exists` where they differ or the name is an
   * alias, `index_deleting` while an earlier one is removed. `call` pays for the word that tells an unknown model's length.
   */
  put(
    tenant: string,
    name: string,
    settings: IndexSettings,
    call: WriteCall,
  ): Promise<{ index: Index; created: boolean }>
  list(tenant: string): Promise<{ indexes: Index[]; aliases: Record<string, string> }>
  /** Leads readers and writers of `alias` to `index` from now on. 404 for no such index, 409 where an index has that name. */
  setAlias(tenant: string, alias: string, index: string): Promise<void>
  /** 404 `alias_not_found`. */
  deleteAlias(tenant: string, alias: string): Promise<void>
  /**
   * It is gone at once, and on other instances within a second, its aliases too; what it held is removed in the background, by
   * whoever sweeps. Returns what it was. 404 `index_not_found`.
   */
  delete(tenant: string, name: string): Promise<Index>
}

/** How long another instance may still see what was deleted, or where an alias led. */
const REMEMBERED = { freshMs: 1_000, staleMs: 1_000, maxSize: 10_000 }

/** Administration may wait longer than a hot path. */
const SLOW = { timeoutMs: 2_000 }

/** An index that is not marked by then, though it was to be swept, is not deleted. */
const MARKED_BY_MS = 5_000

export interface IndexesOptions {
  redis: Redis
  vectors: Vectors
  embeddings: Embeddings
  /** Over how many keys a new index spreads its vectors: 1, on Cluster more. */
  partitions: number
  clock: Clock
}

/** Definitions and aliases of all tenants: one hash a tenant, each field replaced only where it holds what was seen. */
export function createIndexes({ redis, vectors, embeddings, partitions, clock }: IndexesOptions): Indexes {
  const known = createRecall<Index>(REMEMBERED)

  const find = async (tenant: string, name: string) =>
    readRecord(await send(redis, ['HGET', indexesKey(tenant), name], SLOW))

  async function replace(
    tenant: string,
    name: string,
    from?: IndexRecord,
    to?: IndexRecord,
  ): Promise<0 | 1 | 2> {
    const args = [name, from ? JSON.stringify(from) : '', to ? JSON.stringify(to) : '']
    const call = { script: replaceFieldScript, keys: [indexesKey(tenant)], args }
    const replaced = (await send(redis, call, SLOW)) as 0 | 1 | 2
    known.forget(rememberedAs(tenant, name))
    return replaced
  }

  async function read(tenant: string): Promise<[string, IndexRecord][]> {
    const flat = (await send(redis, ['HGETALL', indexesKey(tenant)], SLOW)) as string[]
    const records: [string, IndexRecord][] = []
    for (let i = 0; i < flat.length; i += 2) {
      if (NAME.test(flat[i]!)) records.push([flat[i]!, readRecord(flat[i + 1])!])
    }
    return records.sort(([a], [b]) => (a < b ? -1 : 1))
  }

  /** The store may be asked twice: it died in between, or two make the same index. */
  async function finish(
    tenant: string,
    name: string,
    record: Extract<IndexRecord, { index: Index }>,
    made: boolean,
  ) {
    const { index } = record
    try {
      await vectors.create(index.vectors, { timeoutMs: 10_000, fresh: record.state === 'creating' })
    } catch (error) {
      // What the store can never do leaves no name behind; what it cannot do now is finished by the same PUT later.
      if (error instanceof HubError && error.status === 501) await replace(tenant, name, record)
      throw error
    }
    if (record.state === 'creating') await replace(tenant, name, record, { index, state: 'ready' })
    return { index, created: made }
  }

  const indexes: Indexes = {
    async resolve(tenant, nameOrAlias) {
      if (!NAME.test(nameOrAlias)) throw unknownIndex(nameOrAlias)
      return known.get(rememberedAs(tenant, nameOrAlias), async () => {
        const first = await find(tenant, nameOrAlias)
        const record = first && 'alias' in first ? await find(tenant, first.alias) : first
        if (!record || !('index' in record) || record.state !== 'ready') throw unknownIndex(nameOrAlias)
        return record.index
      })
    },

    async put(tenant, name, settings, call) {
      checkName(name, 'index')
      const [found, time] = await redis.wave([['HGET', indexesKey(tenant), name], ['TIME']], SLOW)
      const there = readRecord(found)
      if (there && 'alias' in there) throw taken(name)
      if (there?.state === 'deleting') {
        // Whoever marked it may have died before it said so.
        await send(redis, sweepCall(indexEntry(there.index), clock.now()), SLOW)
        throw deleting(name)
      }
      const definition = await toDefinition({ tenant, name }, settings, { embeddings, partitions, call })
      if (there) {
        const held = { ...there.index.vectors, partitions }
        if (isSame({ ...there.index, vectors: held }, definition)) return finish(tenant, name, there, false)
        throw different(name)
      }
      const [seconds, microseconds] = time as string[]
      const index = {
        ...definition,
        createdAt: Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000),
      }
      const record = { index, state: 'creating' as const }
      const made = await replace(tenant, name, undefined, record)
      if (made) return finish(tenant, name, record, made === 1)
      return indexes.put(tenant, name, settings, call) // somebody made it meanwhile
    },

    async list(tenant) {
      const records = await read(tenant)
      const indexes = records.flatMap(([, record]) =>
        'index' in record && record.state === 'ready' ? [record.index] : [],
      )
      const aliases = records.flatMap(([name, record]) => ('alias' in record ? [[name, record.alias]] : []))
      return { indexes, aliases: Object.fromEntries(aliases) }
    },

    async setAlias(tenant, alias, index) {
      checkName(alias, 'alias')
      const key = indexesKey(tenant)
      const wanted = NAME.test(index) ? index : ''
      const [target, there] = (
        await redis.wave(
          [
            ['HGET', key, wanted],
            ['HGET', key, alias],
          ],
          SLOW,
        )
      ).map(readRecord)
      if (there && 'index' in there) throw taken(alias)
      if (!target || !('index' in target) || target.state !== 'ready') throw unknownIndex(index)
      // Two flips at the same time: the later one counts, so it looks again.
      if (!(await replace(tenant, alias, there, { alias: index })))
        await indexes.setAlias(tenant, alias, index)
    },

    async deleteAlias(tenant, alias) {
      const record = NAME.test(alias) ? await find(tenant, alias) : undefined
      if (!record || !('alias' in record)) throw unknownAlias(alias)
      if (!(await replace(tenant, alias, record))) await indexes.deleteAlias(tenant, alias)
    },

    async delete(tenant, name) {
      const records = await read(tenant)
      const record = records.find(([one]) => one === name)?.[1]
      if (!record || !('index' in record)) throw unknownIndex(name)
      const { index, state } = record
      const isLeft = state === 'deleting' // by a deleter that may have died
      // Before the mark, and due after it: whatever dies in between, somebody sweeps.
      await send(redis, sweepCall(indexEntry(index), clock.now() + (isLeft ? 0 : MARKED_BY_MS)), SLOW)
      if (isLeft) throw unknownIndex(name)
      if (!(await replace(tenant, name, record, { index, state: 'deleting' })))
        return indexes.delete(tenant, name)
      const leading = records.filter(([, one]) => 'alias' in one && one.alias === name)
      await Promise.all(leading.map(([alias, one]) => replace(tenant, alias, one)))
      return index
    },
  }
  return indexes
}

const rememberedAs = (tenant: string, name: string) => `${tenant} ${name} `

function checkName(name: string, param: string): void {
  if (NAME.test(name)) return
  const message = `${param}: must be 1 to 64 of A-Z a-z 0-9 _ . -`
  throw new HubError({ code: 'invalid_value', status: 400, message, param })
}

export const unknownIndex = (name: string) =>
  new HubError({
    code: 'index_not_found',
    status: 404,
    message: `There is no index \`${name}\`. Make it with PUT /v1/indexes/{index}.`,
    param: 'index',
  })

const unknownAlias = (alias: string) =>
  new HubError({
    code: 'alias_not_found',
    status: 404,
    message: `There is no alias \`${alias}\`.`,
    param: 'alias',
  })

const conflict = (code: string, message: string, param: string) =>
  new HubError({
    code,
    status: 409,
    message,
    param,
    retryAfterSeconds: code === 'index_deleting' ? 1 : undefined,
  })

const taken = (name: string) =>
  conflict('name_taken', `\`${name}\` is taken: an index and an alias cannot share a name.`, 'index')

const different = (name: string) =>
  conflict(
    'index_exists',
    `The index \`${name}\` is there with other settings, which are fixed. Build another one beside it and lead an alias to it, or delete it first.`,
    'index',
  )

const deleting = (name: string) =>
  conflict('index_deleting', `The earlier index \`${name}\` is still being removed. Try again soon.`, 'index')
