import { readFileSync } from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../shared/drivers/redis-rest.ts'
import {
  isNoSuchIndex,
  readInfo,
  readNearest,
  readScored,
  toStoreError,
} from '../../shared/drivers/redisearch-reply.ts'
import { createVectorsRedisearch } from '../../shared/drivers/vectors-redisearch.ts'
import { RedisUnavailableError } from '../../shared/errors.ts'
import type { Command, ErrorReply, Redis, Reply } from '../../shared/ports/redis.ts'
import type { Chunk, VectorIndex, VectorKeys } from '../../shared/ports/vectors.ts'
import { startReplay } from '../support/replay.ts'
import { startTestCluster } from '../support/topologies.ts'

interface Recorded {
  name: string
  request: Buffer
  reply: Buffer
}

/** What RediSearch 8.0.2 on Redis 8.0.2 replied to real commands, over RESP2, which is what the Redis port speaks. */
const RECORDED: Recorded[] = readFileSync(new URL('../fixtures/redisearch.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line))
  .map(({ name, request_b64, reply_b64 }) => ({
    name,
    request: Buffer.from(request_b64, 'base64'),
    reply: Buffer.from(reply_b64, 'base64'),
  }))

const recorded = (name: string) => {
  const found = RECORDED.find((one) => one.name === name)
  if (!found) throw new Error(`Nothing was recorded as ${name}`)
  return found
}

/** The keys and the index of the recording. */
const keys = {
  name: () => 'idx:docs',
  chunkPrefix: () => 'doc:',
  chunk: (_, { documentId }) => `doc:${documentId}`,
  readChunk: (_, key) => ref(key),
} as Partial<VectorKeys> as VectorKeys

const ref = (key: string) => ({ documentId: key.replace(/^\w+:/, ''), version: 1, n: 0 })

const INDEX: VectorIndex = {
  tenant: 'default',
  name: 'docs',
  dimensions: 4,
  metric: 'cosine',
  fields: { tag: 'tag', num: 'number' },
  partitions: 1,
  quantization: 'none',
}

const VECTOR = Float32Array.of(1, 0, 0, 0)
const CHUNK: Chunk = {
  ...ref('doc:1'),
  vector: VECTOR,
  text: 'quick\nFoxes',
  fields: { tag: ['a', 'b c'] },
  hash: { start: '0' },
}

/** The driver before a server that replies this. */
async function open(...replies: (string | Uint8Array)[]) {
  const replay = await startReplay(replies.map((reply) => Buffer.from(reply as string)))
  const redis = createRedisResp({ url: replay.url })
  onTestFinished(async () => {
    await redis.close()
    await replay.close()
  })
  return {
    redis,
    requests: replay.requests,
    vectors: createVectorsRedisearch({ reads: redis, writes: redis, keys }),
  }
}

/** Every recorded reply, as it comes through the real client. */
async function readAll(): Promise<Map<string, Reply>> {
  const { redis } = await open(...RECORDED.map(({ reply }) => reply))
  const wave = await redis.wave(
    RECORDED.map(() => ['GET', 'next'] as const),
    { timeoutMs: 10_000 },
  )
  return new Map(RECORDED.map(({ name }, i) => [name, wave[i]!]))
}

/** The words of a recorded command, as bytes of Latin 1. */
function wordsOf(request: Buffer): string[] {
  const words: string[] = []
  let at = request.indexOf('\r\n') + 2
  while (at < request.length) {
    const end = request.indexOf('\r\n', at)
    const length = Number(request.toString('latin1', at + 1, end))
    words.push(request.toString('latin1', end + 2, end + 2 + length))
    at = end + 4 + length
  }
  return words
}

const toBytes = (command: Command) =>
  Buffer.concat([
    Buffer.from(`*${command.length}\r\n`),
    ...command.flatMap((argument) => {
      const bytes = Buffer.from(typeof argument === 'number' ? String(argument) : (argument as string))
      return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]
    }),
  ])

const asBytes = (vector: Float32Array) => new Uint8Array(vector.buffer)

describe('recorded replies', () => {
  test('of KNN queries that return a distance are all read, and scored by it', async () => {
    const replies = await readAll()
    let [queries, hits] = [0, 0]
    for (const { name, request, reply } of RECORDED) {
      const words = wordsOf(request)
      const [, distance] = /KNN.* AS (\w+)\]$/s.exec(words[2] ?? '') ?? []
      if (words[0] !== 'FT.SEARCH' || !distance || /^-/.test(reply.toString('latin1'))) continue
      if (/NOCONTENT|WITHSCORES|RETURN 0/.test(words.join(' ')) || name === 'knn_return_only_missing_field')
        continue
      queries++
      const metric = name === 'knn_l2' ? 'euclidean' : name === 'knn_ip' ? 'dot_product' : 'cosine'
      const read = readNearest(replies.get(name)!, distance, metric, ref)
      // Keys and distances as they stand in the bytes, found without parsing RESP.
      const text = reply.toString('latin1')
      const rows = [
        ...text.matchAll(
          new RegExp(
            `\\r\\n(\\w+:\\w+)\\r\\n\\*\\d+\\r\\n\\$\\d+\\r\\n${distance}\\r\\n\\$\\d+\\r\\n(\\S+)\\r`,
            'g',
          ),
        ),
      ]
      const expected = rows
        .filter(([, , value]) => value !== '-nan')
        .map(([, key, value]) => {
          const d = Number(value)
          return { ...ref(key!), score: metric === 'euclidean' ? 1 / (1 + d) : 1 - d }
        })
      expect(read, name).toEqual(expected)
      hits += read.length
    }
    expect([queries, hits]).toEqual([30, 145])
  })

  test('of text queries with scores and no content are all read', async () => {
    const replies = await readAll()
    let queries = 0
    for (const { name, request, reply } of RECORDED) {
      const words = wordsOf(request)
      if (words[0] !== 'FT.SEARCH' || !words.includes('WITHSCORES') || !words.includes('NOCONTENT')) continue
      if (words.includes('EXPLAINSCORE') || reply.toString().startsWith('-')) continue
      queries++
      const rows = [...reply.toString('latin1').matchAll(/(doc:\w+)\r\n\$\d+\r\n([\d.]+)\r\n/g)]
      expect(rows.length, name).toBeGreaterThan(0)
      expect(readScored(replies.get(name)!, ref), name).toEqual(
        rows.map(([, key, score]) => ({ ...ref(key!), score: Number(score) })),
      )
    }
    expect(queries).toBe(5)
  })

  test.each(['knn_empty_index', 'knn_filter_no_match', 'knn_k_zero', 'text_no_match', 'text_empty_query'])(
    '%s is an empty list',
    async (name) => {
      const reply = (await readAll()).get(name)!
      expect(readNearest(reply, 'score', 'cosine', ref)).toEqual([])
      expect(readScored(reply, ref)).toEqual([])
    },
  )

  test('of a zero vector score nothing (-nan), and infinite distances are the farthest', async () => {
    const replies = await readAll()
    expect(readNearest(replies.get('knn_zero_query_vector')!, 'score', 'cosine', ref)).toEqual([])
    const far: Reply = [2, 'doc:1', ['score', 'inf'], 'doc:2', ['score', '-inf']]
    expect(readNearest(far, 'score', 'euclidean', ref)[0]!.score).toBe(0)
    expect(readNearest(far, 'score', 'dot_product', ref).map(({ score }) => score)).toEqual([
      -Infinity,
      Infinity,
    ])
  })

  test('of FT.INFO tell dimensions, metric, and fields', async () => {
    const replies = await readAll()
    const info = readInfo(replies.get('ft_info')!)
    expect(info).toMatchObject({ dimensions: 4, metric: 'COSINE' })
    expect(['content', 'tag', 'num', 'embedding', 'x'].map(info.typeOf)).toEqual([
      ...['TEXT', 'TAG', 'NUMERIC', 'VECTOR'],
      undefined,
    ])
    expect(readInfo(replies.get('ft_info_hnsw_attrs')!)).toMatchObject({ dimensions: 2 })
  })

  test('that are errors all get a status and a code', async () => {
    const replies = await readAll()
    const errors = [...replies].filter(([, reply]) => reply instanceof Error) as [string, ErrorReply][]
    const byPublicFace: Record<string, string[]> = {}
    for (const [name, reply] of errors) {
      const { status, code } = toStoreError(reply, 'docs')
      const face = `${status} ${code}`
      byPublicFace[face] = [...(byPublicFace[face] ?? []), name]
      expect(isNoSuchIndex(reply), name).toBe(status === 404)
    }
    const own = byPublicFace['500 vectors_failed']!
    delete byPublicFace['500 vectors_failed']
    expect(byPublicFace).toEqual(FACES)
    // What is left are commands that the driver never sends.
    expect(own).toHaveLength(errors.length - Object.values(FACES).flat().length)
    expect(
      own.filter((name) => !/^(knn|tag|text|agg|cursor|ft_alias|error_|ft_create_duplicate)/.test(name)),
    ).toEqual([])
    expect(errors).toHaveLength(84)
  })
})

const FACES = {
  '400 invalid_index': [
    'ft_alter_duplicate',
    'error_create_bad_type',
    'error_create_dup_field',
    'error_create_vector_no_dim',
    'error_create_vector_bad_metric',
    'error_create_vector_bad_algo',
    'error_create_vector_bad_type',
    'error_create_vector_dim_zero',
    'error_create_svs_vamana',
  ],
  '404 index_not_found': [
    'error_search_unknown_index',
    'error_search_unknown_index_knn',
    'error_aggregate_unknown_index',
    'error_info_unknown_index',
    'error_drop_unknown_index',
    'error_alter_unknown_index',
    'error_tagvals_unknown_index',
    'error_explain_unknown_index',
    'error_cursor_unknown_index',
    'ft_dropindex_twice',
    'search_after_drop',
  ],
  '409 index_exists': [
    'knn_error_blob_too_short',
    'knn_error_blob_too_long',
    'knn_error_blob_empty',
    'knn_error_unknown_field',
    'knn_error_not_vector_field',
    'error_unknown_field',
    'error_unknown_field_tag',
    'error_numeric_on_tag',
  ],
  '501 not_supported': [
    'knn_error_bad_attribute',
    'text_scorer_unknown',
    'agg_error_scorer_after_steps',
    'agg_error_unknown_arg',
    'error_unknown_argument',
    'error_unknown_subcommand',
    'error_hybrid',
    'error_hybrid_binary_arg',
  ],
}

describe('commands, byte by byte', () => {
  test('those that were recorded too', async () => {
    const { vectors, requests } = await open(
      recorded('ft_create_duplicate').reply,
      recorded('ft_info').reply,
      recorded('hget_embedding').reply,
      recorded('ft_dropindex_twice').reply,
    )
    await vectors.create(INDEX)
    expect(await vectors.similarity(INDEX, Float32Array.of(3, 4, 0, 0), [CHUNK])).toEqual([
      expect.closeTo(0.6, 6),
    ])
    await vectors.drop(INDEX, (async function* () {})())
    expect(requests.slice(1)).toEqual(
      ['ft_info', 'hget_embedding', 'ft_dropindex_twice'].map((name) => recorded(name).request),
    )
  })

  test('FT.CREATE', async () => {
    const { vectors, requests } = await open(recorded('ft_create').reply, recorded('ft_create').reply)
    await vectors.create({ ...INDEX, fields: { ...INDEX.fields, title: 'text' } })
    expect(requests[0]).toEqual(
      toBytes([
        ...[
          'FT.CREATE',
          'idx:docs',
          'ON',
          'HASH',
          'PREFIX',
          1,
          'doc:',
          'NOOFFSETS',
          'NOFIELDS',
          'STOPWORDS',
          0,
        ],
        ...[
          'SCHEMA',
          '_terms',
          'TEXT',
          'NOSTEM',
          'embedding',
          'VECTOR',
          'HNSW',
          12,
          'TYPE',
          'FLOAT32',
          'DIM',
          4,
        ],
        ...['DISTANCE_METRIC', 'COSINE', 'M', 16, 'EF_CONSTRUCTION', 200, 'EF_RUNTIME', 100],
        ...['tag', 'TAG', 'SEPARATOR', ',', 'CASESENSITIVE', 'num', 'NUMERIC'],
      ] as unknown as Command),
    )
  })

  test('FT.CREATE of a fresh index reads no keys', async () => {
    const { vectors, requests } = await open(recorded('ft_create').reply)
    await vectors.create(INDEX, { fresh: true })
    expect(wordsOf(requests[0]!).slice(6, 10)).toEqual(['doc:', 'SKIPINITIALSCAN', 'NOOFFSETS', 'NOFIELDS'])
  })

  test('of put: one HSET a chunk, the fields that it lacks, and a count of what is indexed', async () => {
    const { vectors, requests } = await open(':7\r\n', ':0\r\n', '*1\r\n:1\r\n')
    await vectors.put(INDEX, [CHUNK])
    expect(requests).toEqual([
      toBytes([
        ...['HSET', 'doc:1', 'content', 'quick\nFoxes', 'tag', 'a,b%20c', 'start', '0'],
        ...['_terms', 'quick fox', 'embedding', asBytes(VECTOR)],
      ] as unknown as Command),
      toBytes(['HDEL', 'doc:1', 'num']),
      toBytes(
        'FT.SEARCH idx:docs * INKEYS 1 doc:1 NOCONTENT LIMIT 0 0 DIALECT 2'.split(' ') as unknown as Command,
      ),
    ])
  })

  test('of search: both queries in one wave', async () => {
    const { vectors, requests } = await open(
      recorded('knn_return').reply,
      recorded('text_scorer_bm25std_or').reply,
    )
    const found = await vectors.search(INDEX, {
      vector: VECTOR,
      text: 'Quick “foxes” ismissing',
      limit: 3,
      effort: 7,
      timeoutMs: 500,
      filter: {
        type: 'and',
        filters: [
          { type: 'gt', key: 'num', value: 1e-7 },
          {
            type: 'or',
            filters: [
              { type: 'in', key: 'tag', value: ['a', 'b c'] },
              { type: 'ne', key: 'num', value: -2 },
            ],
          },
        ],
      },
    })
    const filter = String.raw`((@tag:{a|b\%20c}|(-(@num:[-2 -2]))) @num:[(1e-7 inf])`
    expect(requests).toEqual([
      toBytes([
        ...['FT.SEARCH', 'idx:docs', `(${filter})=>[KNN 3 @embedding $vec EF_RUNTIME 7 AS score]`],
        ...['PARAMS', 2, 'vec', asBytes(VECTOR), 'SORTBY', 'score', 'RETURN', 1, 'score', 'LIMIT', 0, 3],
        ...['TIMEOUT', 1500, 'DIALECT', 2],
      ] as unknown as Command),
      toBytes([
        ...['FT.SEARCH', 'idx:docs', `(${filter})=>{$weight:0} ($w0|$w1|$w2)`],
        ...['PARAMS', 6, 'w0', 'quick', 'w1', 'fox', 'w2', 'ismiss'],
        ...[
          'VERBATIM',
          'SCORER',
          'BM25STD',
          'WITHSCORES',
          'NOCONTENT',
          'LIMIT',
          0,
          3,
          'TIMEOUT',
          1500,
          'DIALECT',
          2,
        ],
      ] as unknown as Command),
    ])
    expect(found.vector!.map(({ documentId, score }) => [documentId, score])).toEqual([
      ['1', 1],
      ['2', expect.closeTo(0.993884, 6)],
      ['8', 0.5],
    ])
    expect(found.text!.map(({ documentId }) => documentId)).toEqual(['1', '3', '2', '4', '7'])
    expect(found.plan.map(({ commands }) => commands.join())).toEqual([
      expect.stringContaining('PARAMS 2 vec <4 float32> SORTBY score'),
      expect.stringContaining('PARAMS 6 w0 quick w1 fox w2 ismiss'),
    ])
  })

  test('of remove and drop: a key each', async () => {
    const { vectors, requests } = await open(':1\r\n', ':0\r\n', '+OK\r\n', ':1\r\n')
    await vectors.remove(INDEX, [ref('doc:1'), ref('doc:2')])
    await vectors.drop(
      INDEX,
      (async function* () {
        yield [ref('doc:3')]
      })(),
    )
    const sent = ['UNLINK doc:1', 'UNLINK doc:2', 'FT.DROPINDEX idx:docs', 'UNLINK doc:3']
    expect(requests).toEqual(sent.map((line) => toBytes(line.split(' ') as unknown as Command)))
  })
})

describe('bad days', () => {
  const works: [string, (vectors: ReturnType<typeof createVectorsRedisearch>) => Promise<unknown>][] = [
    ['search', (vectors) => vectors.search(INDEX, { vector: VECTOR, limit: 1, timeoutMs: 1_000 })],
    ['remove', (vectors) => vectors.remove(INDEX, [CHUNK])],
    ['similarity', (vectors) => vectors.similarity(INDEX, VECTOR, [CHUNK])],
    ['create', (vectors) => vectors.create(INDEX)],
    ['drop', (vectors) => vectors.drop(INDEX, (async function* () {})())],
  ]
  test.each([
    ["-OOM command not allowed when used memory > 'maxmemory'.", 503, 'vectors_unavailable'],
    ['-LOADING Redis is loading the dataset in memory', 503, 'vectors_unavailable'],
    ["-READONLY You can't write against a read only replica.", 503, 'vectors_unavailable'],
    ['-Timeout limit was reached', 503, 'vectors_unavailable'],
    ["-NOPERM User hub has no permissions to run the 'ft.search' command", 501, 'not_supported'],
    ['-Cannot create index on db != 0', 501, 'not_supported'],
    ['-WRONGTYPE Operation against a key holding the wrong kind of value', 409, 'key_conflict'],
    ['-Parser stack overflow. Try moving nested parentheses more to the left', 400, 'invalid_filter'],
    ['-ERR something new', 500, 'vectors_failed'],
  ])('%s has a public face everywhere', async (reply, status, code) => {
    for (const [name, work] of works) {
      const { vectors } = await open(`${reply}\r\n`)
      await expect(work(vectors), name).rejects.toMatchObject({ name: 'HubError', status, code })
    }
  })

  test('an index that is gone is told by search and by put, though its hashes are stored', async () => {
    const gone = recorded('error_search_unknown_index').reply
    const face = { status: 404, code: 'index_not_found', message: expect.stringContaining('Put it again') }
    const searching = await open(gone)
    await expect(
      searching.vectors.search(INDEX, { vector: VECTOR, limit: 1, timeoutMs: 1_000 }),
    ).rejects.toMatchObject(face)
    const putting = await open(':4\r\n', ':0\r\n', gone)
    await expect(putting.vectors.put(INDEX, [CHUNK])).rejects.toMatchObject(face)
  })

  test('a chunk that RediSearch stores and does not index is told', async () => {
    const { vectors } = await open(':4\r\n', ':0\r\n', recorded('search_bad_docs').reply)
    await expect(vectors.put(INDEX, [CHUNK])).rejects.toMatchObject({ status: 500, code: 'vectors_failed' })
  })

  test('an index of that name with other settings is not taken for this one', async () => {
    const others = [
      { dimensions: 5 },
      { metric: 'euclidean' },
      { fields: { num: 'tag' } },
      { fields: { x: 'tag' } },
    ] as const
    for (const other of others) {
      const { vectors } = await open(recorded('ft_create_duplicate').reply, recorded('ft_info').reply)
      const creating = vectors.create({ ...INDEX, ...other } as VectorIndex)
      await expect(creating).rejects.toMatchObject({ status: 409, code: 'index_exists' })
    }
  })

  test.each([
    ['of another length', Float32Array.of(1, 2, 3)],
    ['of zeros', new Float32Array(4)],
    ['with NaN', Float32Array.of(1, Number.NaN, 0, 0)],
    ['with infinity', Float32Array.of(1, Infinity, 0, 0)],
  ])('a vector %s is refused, and nothing is sent', async (_, vector) => {
    const { vectors, requests } = await open()
    const face = { status: 400, code: 'invalid_vector' }
    await expect(vectors.put(INDEX, [CHUNK, { ...CHUNK, vector }])).rejects.toMatchObject(face)
    await expect(vectors.search(INDEX, { vector, limit: 1, timeoutMs: 100 })).rejects.toMatchObject(face)
    await expect(vectors.similarity(INDEX, vector, [CHUNK])).rejects.toMatchObject(face)
    expect(requests).toEqual([])
  })

  test('what RediSearch has not, and names that are taken, are refused before anything is sent', async () => {
    const { vectors, requests } = await open()
    await expect(vectors.create({ ...INDEX, quantization: 'int8' })).rejects.toMatchObject({ status: 501 })
    for (const name of ['content', '_terms', 'embedding']) {
      const creating = vectors.create({ ...INDEX, fields: { [name]: 'tag' } })
      await expect(creating).rejects.toMatchObject({ status: 400, param: `fields.${name}` })
    }
    const long = { ...CHUNK, fields: { tag: ['short', 'ü'.repeat(2_049)] } }
    await expect(vectors.put(INDEX, [long])).rejects.toMatchObject({ status: 400, param: 'metadata.tag' })
    expect(requests).toEqual([])
  })

  test('Redis over HTTP is refused by every call: it carries no bytes', async () => {
    const rest = createRedisRest({ url: 'http://127.0.0.1:1', token: 'none' })
    onTestFinished(() => rest.close())
    const vectors = createVectorsRedisearch({ reads: rest, writes: rest, keys })
    const put = ['put', () => vectors.put(INDEX, [CHUNK])] as const
    for (const [name, work] of [...works, put]) {
      await expect(work(vectors), name).rejects.toMatchObject({ status: 501, code: 'not_supported' })
    }
  })

  test('a text without a word asks nothing', async () => {
    const { vectors, requests } = await open()
    expect(await vectors.search(INDEX, { text: '?! the', limit: 1, timeoutMs: 100 })).toMatchObject({
      text: [],
    })
    expect(requests).toEqual([])
  })
})

test('on a Cluster with a primary away nothing is found, rather than what the others have', async () => {
  await using cluster = await startTestCluster()
  const redis = createRedisResp({ url: cluster.url, onError() {} })
  onTestFinished(redis.close)
  const reply = recorded('search_empty_index').reply
  const search = async () => {
    const { redis: engine } = await open(reply)
    const wave: Redis['wave'] = (calls, options) =>
      (String((calls[0] as Command)[0]).startsWith('FT.') ? engine : redis).wave(calls, options)
    const vectors = createVectorsRedisearch({ reads: { ...redis, wave }, writes: redis, keys })
    return vectors.search(INDEX, { vector: VECTOR, limit: 9, timeoutMs: 2_000 })
  }
  expect(await search()).toMatchObject({ vector: [] })
  const primary = await cluster.ownerOf(0)
  process.kill(primary.pid!, 'SIGKILL')
  await expect.poll(() => search().catch((error) => error)).toBeInstanceOf(RedisUnavailableError)
  await expect.poll(search, { timeout: 20_000 }).toMatchObject({ vector: [] })
}, 60_000)
