import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HubError, RedisTimeoutError } from '../../shared/errors.ts'
import { type Filter, matches } from '../../shared/filters.ts'
import { tenantOfKey, vectorKeys } from '../../shared/keys.ts'
import type { Redis } from '../../shared/ports/redis.ts'
import type {
  Chunk,
  ChunkRef,
  Hit,
  Metric,
  VectorIndex,
  VectorSearch,
  Vectors,
} from '../../shared/ports/vectors.ts'
import { scan } from '../../shared/scan.ts'
import { unique } from '../support/app.ts'
import { seeded } from '../support/random.ts'
import { randomFilter, randomRows } from './vectors.rows.ts'

export interface VectorsUnderTest {
  /** Made with `vectorKeys`. */
  vectors: Vectors
  /** The Redis that holds the chunks' hashes. */
  redis: Redis
  /** From now on the store does not answer, until the returned function is called. */
  stall(): Promise<() => Promise<void>>
  close(): Promise<void>
}

export interface VectorsTraits {
  /** The others are refused. */
  metrics: readonly Metric[]
  quantizations: readonly VectorIndex['quantization'][]
  /** How rare a word is: among all chunks (the default), or among those of its server alone, as RediSearch counts on a Cluster. */
  rarity?: 'of all' | 'of its server'
  /** Of a similarity, without quantization. */
  tolerance?: number
}

const METRICS = ['cosine', 'euclidean', 'dot_product'] as const
const FIELDS = { color: 'tag', flag: 'tag', size: 'number', weight: 'number', title: 'text' } as const

/**
 * What every driver of the vectors port must do, against a real store.
 *
 * @example testVectors('vectors-vectorset', async () => { … }, { metrics: ['cosine'], quantizations: ['none', 'int8'] })
 */
export function testVectors(name: string, start: () => Promise<VectorsUnderTest>, traits: VectorsTraits) {
  describe(name, { timeout: 60_000 }, () => {
    let subject: VectorsUnderTest
    let vectors: Vectors
    const tolerance = traits.tolerance ?? 1e-5

    beforeAll(async () => {
      subject = await start()
      vectors = subject.vectors
      await subject.redis.wave([['PING']], { timeoutMs: 5_000 })
    })
    afterAll(() => subject.close())

    /** A new index with these chunks. */
    async function make(chunks: readonly Chunk[] = [], settings: Partial<VectorIndex> = {}) {
      const index = toIndex(settings)
      await vectors.create(index, PATIENT)
      await vectors.put(index, chunks, PATIENT)
      return index
    }
    const search = (index: VectorIndex, search: Partial<VectorSearch>) =>
      vectors.search(index, { limit: 100, timeoutMs: 10_000, ...search })
    const near = async (index: VectorIndex, vector: number[], more: Partial<VectorSearch> = {}) =>
      (await search(index, { vector: floats(vector), ...more })).vector!
    const texts = async (index: VectorIndex, text: string, more: Partial<VectorSearch> = {}) =>
      (await search(index, { text, ...more })).text!

    async function keysOf(index: VectorIndex) {
      const keys: string[] = []
      for await (const page of scan(subject.redis, `*${index.name}*`, PATIENT)) keys.push(...page)
      return [...new Set(keys)].sort()
    }

    describe('put and search', () => {
      test('finds what was put, with its score, and nothing else', async () => {
        const index = await make([
          chunk({ documentId: 'east', vector: [1, 0], text: 'Sunrise over the harbour.' }),
          chunk({ documentId: 'north', vector: [0, 1], text: 'Polar light at midnight.', version: 7, n: 3 }),
        ])
        const found = await search(index, { vector: floats([1, 0]), text: 'midnight' })
        expect(found.vector!.map(ref)).toEqual([
          { documentId: 'east', version: 1, n: 0 },
          { documentId: 'north', version: 7, n: 3 },
        ])
        expect(found.vector![0]!.score).toBeCloseTo(1, 5)
        expect(found.text!.map(ref)).toEqual([{ documentId: 'north', version: 7, n: 3 }])
        expect(found.text![0]!.score).toBeGreaterThan(0)
      })

      test('gives only the lists that were asked for', async () => {
        const index = await make([chunk({ documentId: 'a', vector: [1, 0], text: 'alone' })])
        expect((await search(index, { vector: floats([1, 0]) })).text).toBeUndefined()
        expect((await search(index, { text: 'alone' })).vector).toBeUndefined()
      })

      test('finds nothing in an empty index', async () => {
        const index = await make()
        const found = await search(index, { vector: floats([1, 0]), text: 'anything' })
        expect([found.vector, found.text]).toEqual([[], []])
        const eq: Filter = { type: 'eq', key: 'color', value: 'red' }
        const filtered = await search(index, { vector: floats([1, 0]), text: 'anything', filter: eq })
        expect([filtered.vector, filtered.text]).toEqual([[], []])
      })

      test('puts nothing without complaint', async () => {
        const index = await make()
        await vectors.put(index, [], PATIENT)
        await vectors.remove(index, [], PATIENT)
        expect(await near(index, [1, 0])).toEqual([])
      })

      test('keeps text, fields and further fields in the chunk’s hash', async () => {
        const text = 'Line one\r\n"two" – ünï 😀\u0000end'
        const hash = { metadata: '{"a":[1,null]}', start: '0', end: '28' }
        const index = await make([
          chunk({ documentId: 'a', text, hash, fields: { color: 'red', size: -1.5, title: 'A, b' } }),
        ])
        const key = vectorKeys.chunk(index, { documentId: 'a', version: 1, n: 0 })
        const fields = ['content', 'color', 'size', 'title', 'weight', ...Object.keys(hash)]
        const [kept] = await subject.redis.wave([['HMGET', key, ...fields]], PATIENT)
        expect(kept).toEqual([text, 'red', '-1.5', 'A, b', null, ...Object.values(hash)])
      })

      test('may be repeated', async () => {
        const chunks = [
          chunk({
            documentId: 'a',
            vector: [1, 0],
            text: 'one word',
            fields: { color: ['x', 'y'], size: 1 },
          }),
          chunk({ documentId: 'b', vector: [0, 1], text: 'one word', fields: { color: 'x', size: 2 } }),
        ]
        const index = await make(chunks)
        const query = {
          vector: floats([1, 0.1]),
          text: 'word',
          filter: { type: 'eq', key: 'color', value: 'x' },
        } as const
        const once = await search(index, query)
        const keys = await keysOf(index)
        await vectors.create(index, PATIENT)
        await vectors.put(index, chunks, PATIENT)
        const twice = await search(index, query)
        expect(twice.vector).toEqual(once.vector)
        // Not its score: RediSearch counts the words of a replaced chunk until it has collected its garbage.
        expect(twice.text!.map(ref)).toEqual(once.text!.map(ref))
        expect(once.vector).toHaveLength(2)
        expect(await keysOf(index)).toEqual(keys)
      })

      test('keeps versions of a document beside each other until one is removed', async () => {
        const versions = [1, 2].map((version) =>
          chunk({ documentId: 'a', version, vector: [1, version / 10], text: `version${version} shared` }),
        )
        const index = await make(versions)
        const shared = await texts(index, 'shared')
        expect(shared.map(({ version }) => version).sort()).toEqual([1, 2])
        expect(await near(index, [1, 0])).toHaveLength(2)
        await vectors.remove(index, [versions[0]!], PATIENT)
        expect((await near(index, [1, 0])).map(ref)).toEqual([ref(versions[1]!)])
        expect((await texts(index, 'shared')).map(ref)).toEqual([ref(versions[1]!)])
        expect(await texts(index, 'version1')).toEqual([])
      })
    })

    describe('similarity', () => {
      const rows: [string, number[]][] = [
        ['same', [2, 0]],
        ['slanted', [3, 3]],
        ['orthogonal', [0, 0.5]],
        ['opposite', [-1, 0]],
      ]
      const expected: Record<Metric, Record<string, number>> = {
        cosine: { same: 1, slanted: Math.SQRT1_2, orthogonal: 0, opposite: -1 },
        euclidean: { same: 1, slanted: 1 / 11, orthogonal: 1 / 5.25, opposite: 1 / 10 },
        dot_product: { same: 4, slanted: 6, orthogonal: 0, opposite: -2 },
      }
      for (const metric of METRICS.filter((metric) => traits.metrics.includes(metric))) {
        test(`${metric} means what the port says, best first`, async () => {
          const chunks = rows.map(([documentId, vector]) => chunk({ documentId, vector }))
          const index = await make(chunks, { metric })
          const wanted = Object.entries(expected[metric]).sort(([, a], [, b]) => b - a)
          const found = await near(index, [2, 0])
          expect(found.map(({ documentId }) => documentId)).toEqual(wanted.map(([id]) => id))
          for (const [i, [, score]] of wanted.entries()) {
            expect(Math.abs(found[i]!.score - score)).toBeLessThan(tolerance)
          }
          const scores = await vectors.similarity(
            index,
            floats([2, 0]),
            [...chunks, { documentId: 'same', version: 2, n: 0 }, { documentId: 'none', version: 1, n: 0 }],
            PATIENT,
          )
          for (const [i, [id]] of rows.entries()) {
            expect(Math.abs(scores[i]! - expected[metric][id]!)).toBeLessThan(tolerance)
          }
          expect(scores.slice(rows.length)).toEqual([null, null])
        })
      }
      for (const metric of METRICS.filter((metric) => !traits.metrics.includes(metric))) {
        test(`${metric} is refused`, async () => {
          await expect(vectors.create(toIndex({ metric }), PATIENT)).rejects.toSatisfy(isNotSupported)
        })
      }
      for (const quantization of ['none', 'int8'] as const) {
        if (!traits.quantizations.includes(quantization)) {
          test(`quantization ${quantization} is refused`, async () => {
            await expect(vectors.create(toIndex({ quantization }), PATIENT)).rejects.toSatisfy(isNotSupported)
          })
          continue
        }
        test(`with quantization ${quantization}, search and similarity() agree with arithmetic`, async () => {
          const random = seeded(11)
          const dimensions = 32
          const chunks = Array.from({ length: 80 }, (_, i) =>
            chunk({ documentId: `d${i}`, vector: randomVector(random, dimensions) }),
          )
          const index = await make(chunks, { dimensions, quantization })
          const query = floats(randomVector(random, dimensions))
          const near = quantization === 'none' ? tolerance : 0.02
          const exact = chunks.map(({ vector }) => cosine(query, vector))
          const given = await vectors.similarity(index, query, chunks, PATIENT)
          for (const [i, score] of given.entries()) expect(Math.abs(score! - exact[i]!)).toBeLessThan(near)
          const found = (await search(index, { vector: query })).vector!
          expect(found).toHaveLength(chunks.length)
          for (const { documentId, score } of found) {
            expect(Math.abs(score - exact[Number(documentId.slice(1))]!)).toBeLessThan(near)
          }
          expect(found.map(({ score }) => score)).toEqual(descending(found))
        })
      }

      test('of no chunks is an empty list', async () => {
        const index = await make()
        expect(await vectors.similarity(index, floats([1, 0]), [], PATIENT)).toEqual([])
      })
    })

    test('lists are as long as the limit says, to more than 1,000', async () => {
      const random = seeded(12)
      const dimensions = 8
      const chunks = Array.from({ length: 1_200 }, (_, i) =>
        chunk({ documentId: `d${i}`, vector: randomVector(random, dimensions), text: `plenty number${i}` }),
      )
      const index = await make(chunks, { dimensions })
      for (const limit of [1, 10, 1_100, 2_000]) {
        const found = await search(index, {
          vector: floats(randomVector(random, dimensions)),
          text: 'plenty',
          limit,
        })
        for (const list of [found.vector!, found.text!]) {
          expect(list).toHaveLength(Math.min(limit, chunks.length))
          expect(new Set(list.map(({ documentId }) => documentId)).size).toBe(list.length)
          expect(list.map(({ score }) => score)).toEqual(descending(list))
        }
      }
    })

    describe('text', () => {
      let index: VectorIndex
      const ids = async (text: string) =>
        (await texts(index, text)).map(({ documentId }) => documentId).sort()

      beforeAll(async () => {
        index = await make([
          chunk({ documentId: 'run', text: 'They run in the park every morning' }),
          chunk({ documentId: 'walk', text: 'She walks along quiet rivers' }),
          chunk({
            documentId: 'title',
            text: 'Nothing of note',
            fields: { title: 'Lighthouses of Brittany' },
          }),
          chunk({
            documentId: 'specials',
            text: 'rocket-launcher C++ "quoted" {a|b} @field:x 50% (paren) \\back *',
          }),
          chunk({ documentId: 'unicode', text: 'Zürich übergröße naïve 東京 🚀' }),
          chunk({ documentId: 'empty', text: '' }),
        ])
      })

      test('finds other forms of a word', async () => {
        expect(await ids('running')).toEqual(['run'])
        expect(await ids('WALKED beside a river')).toEqual(['walk'])
        expect(await ids('lighthouse')).toEqual(['title'])
      })

      test('finds what holds any of the words', async () => {
        expect(await ids('parks rivers unheardof')).toEqual(['run', 'walk'])
      })

      test('finds what is not ASCII', async () => {
        expect(await ids('zürich')).toEqual(['unicode'])
        expect(await ids('東京')).toEqual(['unicode'])
        expect(await ids('Übergröße')).toEqual(['unicode'])
      })

      test.each([
        'rocket',
        'rocket "',
        "'rocket'",
        '{rocket}',
        '(rocket',
        'rocket|',
        '-rocket',
        '@rocket',
        '@title:rocket',
        'rocket*',
        'rocket\\',
        'rocket\\"',
        '~rocket;',
        'rocket => [KNN 5 @embedding $v]',
        '%rocket%',
        '$rocket',
        ',rocket,.',
        'rocket 🚀 \u0000 \r\n\t',
        '\ufeffrocket',
      ])('takes %j as words, not as syntax', async (text) => {
        expect(await ids(text)).toContain('specials')
        expect(await ids(text)).not.toContain('walk')
      })

      test.each(['', ' ', '"', '*', '@', '{}', '-', '|', '()', '\\', '$v', '🚀', 'the', '?!', '~', '%%'])(
        'answers %j with a list',
        async (text) => {
          expect(await ids(text)).not.toContain('walk')
        },
      )

      test('of very many words is answered', async () => {
        const many = Array.from({ length: 400 }, (_, i) => `unheard${i}`).join(' ')
        expect(await ids(`${many.slice(0, 200)} park ${many}`)).toEqual(['run'])
      })

      test('a rarer word counts more, more often counts more, a shorter text counts more', async () => {
        const filler = 'lorem ipsum dolor amet consectetur adipiscing elit sed eiusmod tempor'
        const ranked = await make([
          chunk({ documentId: 'rare', text: 'zebra lorem ipsum dolor' }),
          chunk({ documentId: 'often', text: 'horse horse horse lorem' }),
          chunk({ documentId: 'short', text: 'horse lorem ipsum dolor' }),
          chunk({ documentId: 'long', text: `horse ${filler} ${filler}` }),
          ...Array.from({ length: 6 }, (_, i) =>
            chunk({ documentId: `other${i}`, text: `horse ${filler} ${filler} ${i}` }),
          ),
        ])
        const order = (await texts(ranked, 'zebra horse')).map(({ documentId }) => documentId)
        if (traits.rarity !== 'of its server') expect(order.slice(0, 3)).toEqual(['rare', 'often', 'short'])
        expect(order).toHaveLength(10)
      })
    })

    describe('filters', () => {
      const rows = randomRows(seeded(1), 90)
      const chunks = rows.map(({ documentId, vector, fields }) =>
        chunk({ documentId, vector, fields, text: `common ${documentId}` }),
      )
      const settings = [
        { partitions: 1 },
        { partitions: 3 },
        { partitions: 1, hotTag: 'color' },
        { partitions: 2, hotTag: 'color' },
      ]
      test.each(settings)('leave exactly what `matches` leaves, with %o', async (settings) => {
        const index = await make(chunks, { dimensions: 4, ...settings })
        const random = seeded(settings.partitions)
        let passing = 0
        for (let i = 0; i < 150; i++) {
          const filter = randomFilter(random)
          const expected = rows
            .filter(({ fields }) => matches(filter, fields))
            .map(({ documentId }) => documentId)
            .sort()
          passing += expected.length
          const found = await search(index, {
            vector: floats(randomVector(random, 4)),
            text: 'common',
            filter,
          })
          const why = JSON.stringify({ filter, plan: found.plan })
          expect(found.vector!.map(({ documentId }) => documentId).sort(), why).toEqual(expected)
          expect(found.text!.map(({ documentId }) => documentId).sort(), why).toEqual(expected)
          expect(found.vector!.map(({ score }) => score)).toEqual(descending(found.vector!))
        }
        // That the filters neither keep nor refuse everything.
        expect(passing).toBeGreaterThan(150 * rows.length * 0.1)
        expect(passing).toBeLessThan(150 * rows.length * 0.9)
      })

      test('come before the limit', async () => {
        const index = await make(chunks, { dimensions: 4 })
        const filter: Filter = { type: 'eq', key: 'flag', value: true }
        const expected = rows.filter(({ fields }) => matches(filter, fields)).length
        expect(expected).toBeGreaterThan(10)
        const found = await search(index, {
          vector: floats([-1, -1, -1, -1]),
          text: 'common',
          filter,
          limit: 10,
        })
        for (const list of [found.vector!, found.text!]) {
          expect(list).toHaveLength(10)
          for (const { documentId } of list) {
            expect(matches(filter, rows.find((row) => row.documentId === documentId)!.fields)).toBe(true)
          }
        }
      })

      test('take long lists and deep nesting', async () => {
        const index = await make(chunks, { dimensions: 4 })
        const many = Array.from({ length: 300 }, (_, i) => `colour "${i}"`)
        let filter: Filter = { type: 'in', key: 'color', value: [...many, 'red'] }
        for (let i = 0; i < 20; i++) {
          filter = {
            type: i % 2 ? 'and' : 'or',
            filters: [filter, { type: 'eq', key: 'size', value: -i / 7 }],
          }
          filter = { type: 'or', filters: [filter, { type: 'eq', key: 'color', value: 'red' }] }
        }
        const expected = rows
          .filter(({ fields }) => matches(filter, fields))
          .map(({ documentId }) => documentId)
          .sort()
        const found = await search(index, { vector: floats([1, 0, 0, 0]), text: 'common', filter })
        expect(found.vector!.map(({ documentId }) => documentId).sort()).toEqual(expected)
        expect(found.text!.map(({ documentId }) => documentId).sort()).toEqual(expected)
      })

      test('know a field whose name is odd', async () => {
        const fields = {
          'a.b-c_1': 'tag',
          __proto__x: 'number',
          constructor: 'tag',
          score: 'number',
        } as const
        const odd = [
          chunk({ documentId: 'a', fields: { 'a.b-c_1': 'x', __proto__x: 1, constructor: 'y', score: 5 } }),
          chunk({ documentId: 'b', fields: {} }),
        ]
        const index = await make(odd, { fields })
        const filters: Filter[] = [
          { type: 'eq', key: 'a.b-c_1', value: 'x' },
          { type: 'gte', key: '__proto__x', value: 1 },
          { type: 'eq', key: 'constructor', value: 'y' },
          { type: 'gt', key: 'score', value: 4.5 },
        ]
        for (const filter of filters) {
          expect((await near(index, [1, 1], { filter })).map(({ documentId }) => documentId)).toEqual(['a'])
          expect(
            (await texts(index, 'text', { filter })).map(({ documentId }) => documentId),
            filter.type,
          ).toEqual(['a'])
        }
      })
    })

    describe('remove and drop', () => {
      const documents = ['a', 'b', 'c'].map((documentId, i) =>
        chunk({
          documentId,
          vector: [1, i],
          text: `shared only${documentId}`,
          fields: { color: ['red', documentId], size: i, title: `title${documentId}` },
        }),
      )

      test('a removed chunk is found by nothing, and leaves nothing behind', async () => {
        const index = await make([], { hotTag: 'color' })
        const before = await keysOf(index)
        await vectors.put(index, documents, PATIENT)
        await vectors.remove(index, [documents[1]!, { documentId: 'zzz', version: 1, n: 0 }], PATIENT)
        await vectors.remove(index, [documents[1]!], PATIENT)
        const red: Filter = { type: 'eq', key: 'color', value: 'red' }
        for (const filter of [undefined, red]) {
          const found = await search(index, { vector: floats([1, 1]), text: 'shared', filter })
          expect(found.vector!.map(({ documentId }) => documentId).sort()).toEqual(['a', 'c'])
          expect(found.text!.map(({ documentId }) => documentId).sort()).toEqual(['a', 'c'])
        }
        const own: Filter = { type: 'eq', key: 'color', value: 'b' }
        expect(await near(index, [1, 1], { filter: own })).toEqual([])
        expect(await texts(index, 'onlyb titleb')).toEqual([])
        expect(await vectors.similarity(index, floats([1, 1]), [documents[1]!], PATIENT)).toEqual([null])
        await vectors.remove(index, documents, PATIENT)
        expect(await keysOf(index)).toEqual(before)
      })

      test('what was removed can be put again', async () => {
        const index = await make(documents)
        await vectors.remove(index, documents, PATIENT)
        await vectors.put(index, documents, PATIENT)
        expect(await near(index, [1, 1])).toHaveLength(3)
        expect(await texts(index, 'shared')).toHaveLength(3)
      })

      test('a dropped index leaves nothing behind, may be dropped again, and can be made anew', async () => {
        const index = await make(documents, { hotTag: 'color', partitions: 2 })
        expect(await keysOf(index)).not.toEqual([])
        await vectors.drop(index, pages(documents), PATIENT)
        await vectors.drop(index, pages(documents), PATIENT)
        expect(await keysOf(index)).toEqual([])
        const again = { ...index, dimensions: 3, hotTag: undefined, fields: {} }
        await vectors.create(again, PATIENT)
        const found = await search(again, { vector: floats([1, 1, 1]), text: 'shared' })
        expect([found.vector, found.text]).toEqual([[], []])
        await vectors.put(again, [chunk({ documentId: 'new', vector: [1, 1, 1], text: 'fresh' })], PATIENT)
        expect(await near(again, [1, 1, 1])).toHaveLength(1)
        await vectors.drop(again, pages([{ documentId: 'new', version: 1, n: 0 }]), PATIENT)
        expect(await keysOf(index)).toEqual([])
      })
    })

    test('a tenant that is forgotten, and whose keys are removed, has left nothing; its neighbours have all', async () => {
      const name = unique('i')
      const tenants = ['gone', 'gone2', 'gone.2'].map(unique)
      const put = (tenant: string) => make([chunk({ documentId: 'a', text: 'same text' })], { tenant, name })
      const [gone, ...neighbours] = await Promise.all([...tenants, `${tenants[0]}2`].map(put))
      await vectors.forget(gone!.tenant, PATIENT)
      const ours = (await keysOf(gone!)).filter((key) => tenantOfKey(key) === gone!.tenant)
      await subject.redis.wave(
        ours.map((key) => ['UNLINK', key] as const),
        PATIENT,
      )
      expect(await vectors.forget(gone!.tenant, PATIENT)).toBe(0)
      for (const index of neighbours) expect(await near(index, [1, 1])).toHaveLength(1)
      const again = { ...gone!, dimensions: 3 }
      await vectors.create(again, PATIENT)
      const found = await search(again, { vector: floats([1, 1, 1]), text: 'text' })
      expect([found.vector, found.text]).toEqual([[], []])
    })

    test('tenants and indexes of like names never meet', async () => {
      const name = unique('i')
      const places = [
        { tenant: 'default', name },
        { tenant: 'acme', name },
        { tenant: 'acme2', name },
        { tenant: 'default', name: `${name}.0` },
        { tenant: 'default', name: `${name}-0` },
        { tenant: 'default', name: name.toUpperCase() },
        { tenant: 'default', name: `${name}_0` },
      ]
      const indexes = await Promise.all(
        places.map((place, i) =>
          make([chunk({ documentId: `mine${i}`, text: 'same text', fields: { color: 'red' } })], place),
        ),
      )
      const red: Filter = { type: 'eq', key: 'color', value: 'red' }
      for (const filter of [undefined, red]) {
        for (const [i, index] of indexes.entries()) {
          const found = await search(index, { vector: floats([1, 1]), text: 'text', filter })
          expect(found.vector!.map(({ documentId }) => documentId)).toEqual([`mine${i}`])
          expect(found.text!.map(({ documentId }) => documentId)).toEqual([`mine${i}`])
        }
      }
      await vectors.drop(indexes[0]!, pages([{ documentId: 'mine0', version: 1, n: 0 }]), PATIENT)
      for (const index of indexes.slice(1)) expect(await near(index, [1, 1])).toHaveLength(1)
    })

    test('ids come back as they were, whatever they hold', async () => {
      const ids = new Set([
        ...ODD,
        'x'.repeat(512),
        'a#1.0',
        '%23',
        '%',
        '%7B',
        '100%',
        'a:b',
        '{a}',
        '../x',
        '__proto__',
      ])
      ids.delete('')
      const given = [...ids]
      const refs = given.map((documentId, i) => ({ documentId, version: i + 1, n: i }))
      const index = await make(
        refs.map((ref) => chunk({ ...ref, text: 'same', fields: { color: ref.documentId } })),
        { partitions: 2 },
      )
      const sorted = (hits: readonly ChunkRef[]) => hits.map(ref).sort((a, b) => a.n - b.n)
      const found = await search(index, { vector: floats([1, 1]), text: 'same' })
      expect(sorted(found.vector!)).toEqual(refs)
      expect(sorted(found.text!)).toEqual(refs)
      for (const one of refs) {
        const filter: Filter = { type: 'eq', key: 'color', value: one.documentId }
        expect((await near(index, [1, 1], { filter })).map(ref)).toEqual([one])
      }
      const scores = await vectors.similarity(index, floats([1, 1]), refs, PATIENT)
      expect(scores.every((score) => score !== null)).toBe(true)
      await vectors.remove(index, refs, PATIENT)
      expect(await near(index, [1, 1])).toEqual([])
    })

    test('the plan names every step, its commands and its time', async () => {
      const index = await make([chunk({ documentId: 'a', text: 'word', fields: { color: 'red' } })])
      const filter: Filter = { type: 'eq', key: 'color', value: 'red' }
      for (const query of [{}, { filter }]) {
        const { plan } = await search(index, { vector: floats([1, 1]), text: 'word', ...query })
        expect(new Set(plan.map(({ side }) => side))).toEqual(new Set(['vector', 'text']))
        for (const step of plan) {
          expect(step.name).toMatch(/^[a-z-]+$/)
          expect(step.commands.length).toBeGreaterThan(0)
          expect(step.commands.join()).not.toMatch(/[\u0000-\u0008\ufffd]/)
          expect(step.milliseconds).toBeGreaterThanOrEqual(0)
          expect(step.approximate).toBe(step.why !== undefined)
        }
      }
      const { plan } = await search(index, { text: 'word' })
      expect(plan.every(({ side }) => side === 'text')).toBe(true)
    })

    describe('deadlines', () => {
      const isLate = (error: unknown) =>
        error instanceof RedisTimeoutError || (error instanceof HubError && error.status === 503)
      const works: [
        string,
        (index: VectorIndex, options: { timeoutMs: number; signal?: AbortSignal }) => Promise<unknown>,
      ][] = [
        ['search by vector', (index, options) => search(index, { vector: floats([1, 1]), ...options })],
        ['search by text', (index, options) => search(index, { text: 'word', ...options })],
        ['put', (index, options) => vectors.put(index, [chunk({ documentId: 'b' })], options)],
        [
          'remove',
          (index, options) => vectors.remove(index, [{ documentId: 'a', version: 1, n: 0 }], options),
        ],
        [
          'similarity',
          (index, options) =>
            vectors.similarity(index, floats([1, 1]), [{ documentId: 'a', version: 1, n: 0 }], options),
        ],
      ]
      test.each(works)('%s ends with its deadline, or when its signal says', async (_, work) => {
        const index = await make([chunk({ documentId: 'a', text: 'word' })])
        const goOn = await subject.stall()
        try {
          await expect(work(index, { timeoutMs: 50 })).rejects.toSatisfy(isLate)
          const controller = new AbortController()
          const waiting = work(index, { timeoutMs: 60_000, signal: controller.signal })
          const reason = new Error('the caller left')
          controller.abort(reason)
          await expect(waiting).rejects.toBe(reason)
        } finally {
          await goOn()
        }
        await expect(work(index, PATIENT)).resolves.not.toThrow()
      })
    })
  })
}

const PATIENT = { timeoutMs: 20_000 }

/** What some query language or key would take for its own. */
const ODD = [
  '',
  ' ',
  ' leading',
  'trailing ',
  'two words',
  'UPPER',
  'upper',
  'a,b',
  'a|b',
  'a-b',
  '-a',
  '@a',
  'a*',
  '*',
  '\\',
  '"',
  "'",
  '{a}',
  '(a)',
  '[a]',
  'a:b',
  '$a',
  '~a',
  'a\nb',
  'true',
  'null',
  '0',
  '\u00e9',
  'e\u0301',
  '日本',
  '😀',
]

const toIndex = (settings: Partial<VectorIndex>): VectorIndex => ({
  tenant: 'default',
  name: unique('index'),
  dimensions: 2,
  metric: 'cosine',
  fields: FIELDS,
  partitions: 1,
  quantization: 'none',
  ...settings,
})

function chunk({
  vector = [1, 1],
  ...given
}: Partial<Omit<Chunk, 'vector'>> & { documentId: string; vector?: readonly number[] }): Chunk {
  return { version: 1, n: 0, text: 'some text', fields: {}, hash: {}, ...given, vector: floats(vector) }
}

const floats = (vector: readonly number[]) => Float32Array.from(vector)

const ref = ({ documentId, version, n }: ChunkRef): ChunkRef => ({ documentId, version, n })

const descending = (hits: readonly Hit[]) => hits.map(({ score }) => score).sort((a, b) => b - a)

const isNotSupported = (error: unknown) =>
  error instanceof HubError && error.status === 501 && error.code === 'not_supported'

async function* pages(chunks: readonly ChunkRef[]): AsyncGenerator<readonly ChunkRef[]> {
  for (let i = 0; i < chunks.length; i += 2) yield chunks.slice(i, i + 2).map(ref)
}

const randomVector = (random: () => number, dimensions: number) =>
  Array.from({ length: dimensions }, () => random() * 2 - 1)

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!
    aa += a[i]! ** 2
    bb += b[i]! ** 2
  }
  return dot / Math.sqrt(aa * bb)
}
