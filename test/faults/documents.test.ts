import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { readEnv } from '../../infra/env.ts'
import { connectRedis } from '../../infra/wire.ts'
import { createVectorsVectorset } from '../../shared/drivers/vectors-vectorset.ts'
import type { Embeddings } from '../../shared/embeddings/embeddings.ts'
import { vectorKeys } from '../../shared/keys.ts'
import type { Command, Redis } from '../../shared/ports/redis.ts'
import type { Vectors } from '../../shared/ports/vectors.ts'
import { createDocumentSweeps } from '../../shared/retrieval/document-sweeps.ts'
import { createDocuments, type DocumentInput } from '../../shared/retrieval/documents.ts'
import { createIndexes, type Index } from '../../shared/retrieval/indexes.ts'
import { createSweeps } from '../../shared/retrieval/sweeps.ts'
import { send } from '../../shared/send.ts'
import { startApp, unique } from '../support/app.ts'
import { startTestRedis } from '../support/redis.ts'

let server: Awaited<ReturnType<typeof startTestRedis>>
let here: Instance
beforeAll(async () => {
  server = await startTestRedis()
  here = instance()
})
afterAll(async () => {
  await here.close()
  await server.stop()
})

type Instance = ReturnType<typeof instance>

interface InstanceOptions {
  /** Its clock goes behind by so much, so that what it leaves is due already. */
  lateMs?: number
  /** Happens before and after a call of the store's `put`. */
  beforePut?(): Promise<void>
  afterPut?(): Promise<void>
  /** Its connections are closed behind a wave that holds this script: as if the process had died there. */
  diesAfter?: string
}

const nobody = {
  tenant: 'default',
  keyId: null,
  scopes: null,
  models: null,
  channels: null,
  requestLimits: [],
  tokenLimits: [],
  budgets: [],
}

/** Documents come with their vectors. */
const none: Embeddings = {
  resolve: () => {
    throw new Error('unreachable')
  },
  embed: () => Promise.reject(new Error('unreachable')),
}

/** One instance of the hub's own parts on connections of its own. */
function instance({ lateMs = 0, beforePut, afterPut, diesAfter }: InstanceOptions = {}) {
  const { redis: open, vectorRedis } = connectRedis(readEnv({ REDIS_URL: server.url }), {
    info() {},
    error() {},
  })
  const close = async () => {
    await Promise.all([open.close(), vectorRedis.reads.close(), vectorRedis.writes.close()])
  }
  const redis: Redis = {
    ...open,
    async wave(calls, options) {
      const replies = await open.wave(calls, options)
      if (calls.some((call) => 'script' in call && call.script.name === diesAfter)) await close()
      return replies
    },
  }
  const store = createVectorsVectorset({ ...vectorRedis, keys: vectorKeys })
  const vectors: Vectors = {
    ...store,
    async put(...call) {
      await beforePut?.()
      await store.put(...call)
      await afterPut?.()
    },
  }
  const clock = { now: () => Date.now() - lateMs }
  const stored = { redis, cacheRedis: redis, vectors, embeddings: none, clock }
  const documentSweeps = createDocumentSweeps(stored)
  const documents = createDocuments({ ...stored, documentSweeps })
  const indexes = createIndexes({ ...stored, partitions: 1 })
  const sweeps = createSweeps({ ...stored, documentSweeps })
  const deferred: Promise<unknown>[] = []
  const call = {
    caller: nobody,
    signal: new AbortController().signal,
    defer: (work: Promise<unknown>) => void deferred.push(work.catch(() => {})),
  }
  return {
    ...{ redis, documents, indexes, sweeps, call, close, store },
    put: (index: Index, ...some: DocumentInput[]) => documents.put(index, some, call),
    sweep: () => sweeps.sweep({ untilMs: Date.now() + 60_000, limit: 1_000 }),
    async settled() {
      while (deferred.length) await Promise.all(deferred.splice(0))
    },
    async index(name = unique('index')): Promise<Index> {
      const settings = { fields: { topic: 'tag' as const }, embedding_model: null, dimensions: 2 }
      return (await indexes.put('default', name, settings, call)).index
    },
  }
}

/** An instance that leaves with the test. */
function another(options: InstanceOptions): Instance {
  const made = instance(options)
  onTestFinished(made.close)
  return made
}

const document = (text: string, id = 'a') => ({
  id,
  text,
  vector: [1, text.length],
  metadata: { topic: 'x' },
})
const ask = (...command: Command) => send(here.redis, command, { timeoutMs: 5_000 })
const textOf = async (index: Index, id = 'a') =>
  (await here.documents.get(index, id).catch(() => undefined))?.text

/** Chunks that the store has, and those that a search would show. */
async function chunksOf(index: Index) {
  const { vector = [] } = await here.store.search(index.vectors, {
    vector: Float32Array.of(1, 1),
    limit: 100,
    timeoutMs: 5_000,
  })
  const shown = await here.documents.read(index, vector, { timeoutMs: 5_000 })
  const hashes = (await ask('KEYS', `doc:${index.vectors.name}:*`)) as string[]
  return {
    stored: vector.length,
    hashes: hashes.length,
    shown: shown.flatMap((one) => (one ? [one.text] : [])),
  }
}
const only = (text: string) => ({ stored: 1, hashes: 1, shown: [text] })
const nothing = { stored: 0, hashes: 0, shown: [] }

/** Every key with the index's name in it. */
const keysOf = async ({ vectors: { name } }: Index) => (await ask('KEYS', `*${name}*`)) as string[]
const entriesOf = async ({ vectors: { name } }: Index) =>
  ((await ask('ZRANGE', 'sweeps', 0, -1)) as string[]).filter(
    (entry) => entry.includes(name) && !entry.includes('"memory"'),
  )

/** More than an abandoned write is left alone. */
const LATE = 11 * 60_000

describe('a writer that dies', () => {
  it('before its commit leaves the old version, and the sweep removes what it put', async () => {
    const index = await here.index()
    await here.put(index, document('old'))
    await here.settled()
    const dying: Instance = another({ lateMs: LATE, afterPut: () => dying.close() })
    await expect(dying.put(index, document('new'), document('other', 'b'))).rejects.toThrow()
    await dying.settled()
    expect(await textOf(index)).toBe('old')
    expect(await chunksOf(index)).toEqual({ stored: 3, hashes: 3, shown: ['old'] })
    await here.sweep()
    expect(await chunksOf(index)).toEqual(only('old'))
    expect(await here.documents.list(index, { limit: 10 })).toEqual({ ids: ['a'], next: undefined })
    expect(await here.documents.count(index)).toBe(1)
    expect(await entriesOf(index)).toEqual([])
  })

  it('after its commit leaves the new version, and the sweep removes the old one', async () => {
    const index = await here.index()
    await here.put(index, document('old'))
    await here.settled()
    const dying = another({ lateMs: LATE, diesAfter: 'commit-document' })
    await expect(dying.put(index, document('new'))).rejects.toThrow()
    await dying.settled()
    expect(await textOf(index)).toBe('new')
    expect((await chunksOf(index)).shown).toEqual(['new'])
    await here.sweep()
    expect(await chunksOf(index)).toEqual(only('new'))
    expect(await entriesOf(index)).toEqual([])
  })

  it('at any script leaves one whole version, and the sweep no other', async () => {
    for (const diesAfter of ['begin-document', 'commit-document', 'retire-document', 'swept-document']) {
      const index = await here.index()
      await here.put(index, document('old'))
      await here.settled()
      const dying = another({ lateMs: LATE, diesAfter })
      await dying.put(index, document('new')).catch(() => {})
      await dying.settled()
      const text = (await textOf(index))!
      expect(['old', 'new']).toContain(text)
      expect((await chunksOf(index)).shown).toEqual([text])
      await here.sweep()
      expect(await chunksOf(index), diesAfter).toEqual(only(text))
      expect(await entriesOf(index)).toEqual([])
    }
  })

  it('while it deletes leaves nothing that the sweep does not remove', async () => {
    for (const diesAfter of ['delete-document', 'retire-document', 'swept-document']) {
      const index = await here.index()
      await here.put(index, document('old'))
      await here.settled()
      const dying = another({ lateMs: LATE, diesAfter })
      await dying.documents.delete(index, 'a', dying.call).catch(() => {})
      await dying.settled()
      expect(await textOf(index)).toBeUndefined()
      expect((await chunksOf(index)).shown).toEqual([])
      await here.sweep()
      expect(await chunksOf(index), diesAfter).toEqual(nothing)
      expect(await here.documents.count(index)).toBe(0)
      expect(await entriesOf(index)).toEqual([])
      // The tombstone goes by itself.
      expect(await ask('TTL', `docmeta:${index.vectors.name}:a`)).toBeGreaterThan(3_000)
    }
  })
})

describe('a slow writer', () => {
  it('does not overwrite what a later one wrote meanwhile', async () => {
    const index = await here.index()
    const slow = another({
      beforePut: async () => void (await here.put(index, document('later'))),
    })
    await slow.put(index, document('earlier'))
    await Promise.all([slow.settled(), here.settled()])
    expect(await textOf(index)).toBe('later')
    expect(await chunksOf(index)).toEqual(only('later'))
    expect(await entriesOf(index)).toEqual([])
  })

  it('does not bring back what was deleted meanwhile', async () => {
    const index = await here.index()
    await here.put(index, document('old'))
    const slow = another({
      beforePut: async () => void (await here.documents.delete(index, 'a', here.call)),
    })
    await slow.put(index, document('new'))
    await Promise.all([slow.settled(), here.settled()])
    expect(await textOf(index)).toBeUndefined()
    expect(await chunksOf(index)).toEqual(nothing)
    await here.put(index, document('again'))
    await here.settled()
    expect(await chunksOf(index)).toEqual(only('again'))
  })

  it('that was given up by a sweep commits nothing: the old version stays', async () => {
    const index = await here.index()
    await here.put(index, document('old'))
    await here.settled()
    const slow = another({ lateMs: LATE, afterPut: async () => void (await here.sweep()) })
    await slow.put(index, document('new'))
    await slow.settled()
    expect(await textOf(index)).toBe('old')
    expect(await chunksOf(index)).toEqual(only('old'))
  })

  it('is told 404 when its index is deleted meanwhile, and leaves nothing behind', async () => {
    for (const when of ['beforePut', 'afterPut'] as const) {
      const index = await here.index()
      await here.put(index, document('old'), document('other', 'b'))
      await here.settled()
      const drop = async () => {
        await here.indexes.delete('default', index.vectors.name)
        await here.sweeps.dropIndex(index)
      }
      const slow = another({ [when]: drop })
      await expect(slow.put(index, document('new'))).rejects.toMatchObject({ code: 'index_not_found' })
      await slow.settled()
      expect(await keysOf(index), when).toEqual([])
    }
  })

  it('is told so too where the index is only marked yet', async () => {
    const index = await here.index()
    const mark = async () => void (await here.indexes.delete('default', index.vectors.name))
    const slow = another({ afterPut: mark })
    await expect(slow.put(index, document('new'))).rejects.toMatchObject({ code: 'index_not_found' })
    await slow.settled()
    expect(await chunksOf(index)).toEqual(nothing)
    await here.sweeps.dropIndex(index)
    expect(await keysOf(index)).toEqual([])
  })

  it('of a deleted index harms none that was made under its name since', async () => {
    const index = await here.index()
    let next: Index | undefined
    const slow = another({
      lateMs: LATE,
      async afterPut() {
        await here.indexes.delete('default', index.vectors.name)
        await here.sweeps.dropIndex(index)
        next = await here.index(index.vectors.name)
        await here.put(next, document('of the next'))
        await slow.close()
      },
    })
    await expect(slow.put(index, document('of the last'))).rejects.toThrow()
    await slow.settled()
    await here.settled()
    await here.sweep()
    expect(await textOf(next!)).toBe('of the next')
    expect(await chunksOf(next!)).toEqual(only('of the next'))
    expect(await here.documents.count(next!)).toBe(1)
    // One that still holds the last index can write into the next as little.
    await expect(here.put(index, document('late'))).rejects.toMatchObject({ code: 'index_not_found' })
    expect(await textOf(next!)).toBe('of the next')
  })
})

describe('sweepers', () => {
  it('a dropped index that nobody swept is swept later; several at once do no harm', async () => {
    const index = await here.index()
    await here.put(index, ...Array.from({ length: 300 }, (_, i) => document(`Text ${i}`, `d${i}`)))
    await here.settled()
    const late = another({ lateMs: LATE })
    await late.indexes.delete('default', index.vectors.name)
    const others = [another({}), another({})]
    await Promise.all([here, ...others].map((one) => one.sweep()))
    await here.sweep()
    expect(await keysOf(index)).toEqual([])
    expect(await entriesOf(index)).toEqual([])
  })

  it('one that fails is tried again, and stops no other', async () => {
    await ask(
      'ZADD',
      'sweeps',
      1,
      JSON.stringify({
        of: 'document',
        tenant: 'default',
        index: 'x',
        made: 1,
        id: 'y',
        version: 1,
        chunks: 1,
      }),
    )
    const [index, broken] = [await here.index(), await here.index()]
    await here.put(index, document('old'))
    await here.put(broken, document('old'))
    await here.settled()
    const dying: Instance = another({ lateMs: LATE, afterPut: () => dying.close() })
    await dying.put(broken, document('new')).catch(() => {})
    const dying2: Instance = another({ lateMs: LATE, afterPut: () => dying2.close() })
    await dying2.put(index, document('new')).catch(() => {})
    // What the store cannot do now.
    const key = `vec:${broken.vectors.name}:0`
    await ask('RENAME', key, 'kept')
    await ask('SET', key, 'no vector set')
    await expect(here.sweep()).rejects.toThrow()
    expect(await chunksOf(index)).toEqual(only('old'))
    expect(await entriesOf(broken)).toHaveLength(1)
    await ask('RENAME', 'kept', key)
    for (const entry of await entriesOf(broken)) await ask('ZADD', 'sweeps', 1, entry)
    await here.sweep()
    expect(await chunksOf(broken)).toEqual(only('old'))
  })
})

describe('outages', () => {
  const json = { host: 'localhost', 'content-type': 'application/json' }

  it('an embedding provider that fails halfway: nothing is written, and the next call goes on from there', async () => {
    let calls = 0
    let isDown = true
    await using hub = await startApp({
      provider: {
        behave: (_, body) => {
          if (!('input' in body)) return undefined
          calls++
          return isDown && calls > 1 ? { status: 500 } : undefined
        },
      },
    })
    const index = unique('half')
    await hub.send('PUT', `/v1/indexes/${index}`, { dimensions: 8, chunking: { size: 100, overlap: 0 } })
    const word = unique('word')
    const text = Array.from(
      { length: 2_500 },
      (_, i) => `${word} sentence number ${i} of this text stands here, alone.`,
    ).join(' ')
    const documents = [
      { id: 'a', text: 'short' },
      { id: 'b', text },
    ]
    const reply = await hub.send('POST', `/v1/indexes/${index}/documents`, documents)
    expect(reply.status).toBe(502)
    expect(calls).toBeGreaterThan(1)
    await hub.settled()
    for (const { id } of documents)
      expect((await hub.get(`/v1/indexes/${index}/documents/${id}`)).status).toBe(404)
    expect((await (await hub.get(`/v1/indexes/${index}`)).json()).documents).toBe(0)
    isDown = false
    expect((await hub.send('POST', `/v1/indexes/${index}/documents`, documents)).status).toBe(201)
    expect((await (await hub.get(`/v1/indexes/${index}/documents/b`)).json()).text).toBe(text)
  })

  it('a Redis that leaves while a document is embedded: 503, and the old version stays', async () => {
    const redis = await startTestRedis({ persist: true })
    let stop = false
    await using hub = await startApp({
      env: { REDIS_URL: redis.url },
      provider: {
        behave: () => {
          if (stop) process.kill(redis.pid, 'SIGSTOP')
          return undefined
        },
      },
    })
    const path = '/v1/indexes/docs/documents'
    await hub.send('PUT', '/v1/indexes/docs', { fields: {} })
    await hub.send('POST', path, [{ id: 'a', text: 'old' }])
    await hub.settled()
    stop = true
    const init = { method: 'POST', headers: json, body: JSON.stringify([{ id: 'a', text: 'new' }]) }
    const reply = await hub.request(path, init)
    expect(reply.status).toBe(503)
    expect((await reply.json()).error.code).toBe('redis_unavailable')
    stop = false
    process.kill(redis.pid, 'SIGCONT')
    await expect.poll(async () => (await hub.get(`${path}/a`)).status, { timeout: 5_000 }).toBe(200)
    expect((await (await hub.get(`${path}/a`)).json()).text).toBe('old')
    expect((await hub.request(path, init)).status).toBe(201)
    expect((await (await hub.get(`${path}/a`)).json()).text).toBe('new')
    await redis.stop()
  })
})
