import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { startTestBridge } from '../support/bridge.ts'
import { testRedisUrl } from '../support/redis.ts'

let hub: TestApp
beforeAll(async () => {
  hub = await startApp()
})
afterAll(() => hub[Symbol.asyncDispose]())

const json = { 'content-type': 'application/json' }
const post = (
  index: string,
  documents: unknown,
  headers: Record<string, string> = json,
  path = 'documents',
) => hub.send('POST', `/v1/indexes/${index}/${path}`, documents, headers)
const put = (index: string, id: string, body: unknown, headers: Record<string, string> = json) =>
  hub.send('PUT', `/v1/indexes/${index}/documents/${encodeURIComponent(id)}`, body, headers)
const get = (index: string, id: string) => hub.get(`/v1/indexes/${index}/documents/${encodeURIComponent(id)}`)
const remove = (index: string, id: string) =>
  hub.delete(`/v1/indexes/${index}/documents/${encodeURIComponent(id)}`)
const listed = async (index: string, query = '') =>
  (await hub.get(`/v1/indexes/${index}/documents${query}`)).json()
const ids = async (index: string) => (await listed(index)).data.map(({ id }: { id: string }) => id)
const errorOf = async (reply: Response) => ({ status: reply.status, ...(await reply.json()).error })
async function search(index: string, body: object): Promise<{ document_id: string; text: string }[]> {
  return (await (await post(index, body, json, 'search')).json()).results
}

const FIELDS = { year: 'number', topic: 'tag', title: 'text' }
async function made(settings: object = {}): Promise<string> {
  const index = unique('docs')
  const reply = await hub.send('PUT', `/v1/indexes/${index}`, { fields: FIELDS, ...settings })
  expect(reply.status, await reply.clone().text()).toBe(201)
  return index
}

describe('POST …/documents', () => {
  it('are readable and found at once, with what was said about them', async () => {
    const index = await made()
    const metadata = { year: 2020, topic: ['a', 'b'], title: 'Elephants', other: { deep: [1, null] } }
    const reply = await post(index, [
      { id: 'a', text: 'Elephants remember.', metadata },
      { text: 'Mice forget.' },
    ])
    expect(reply.status).toBe(201)
    const { accepted, documents } = await reply.json()
    expect(accepted).toBe(2)
    expect(documents).toEqual([
      { id: 'a', chunks: 1, unchanged: false },
      { id: expect.stringMatching(/^[\w-]{22}$/), chunks: 1, unchanged: false },
    ])
    expect(await (await get(index, 'a')).json()).toEqual({
      id: 'a',
      text: 'Elephants remember.',
      metadata,
      chunks: 1,
    })
    expect((await search(index, { query: 'elephants' }))[0]).toMatchObject({ document_id: 'a', metadata })
    const filter = {
      type: 'and',
      filters: [
        { type: 'eq', key: 'topic', value: 'b' },
        { type: 'gte', key: 'year', value: 2020 },
      ],
    }
    expect((await search(index, { query: 'mice', filter })).map((one) => one.document_id)).toEqual(['a'])
  })

  it('takes a document a line, too', async () => {
    const index = await made()
    const lines = '{"id":"a","text":"one"}\r\n\n{"id":"b","text":"two"}\n'
    expect((await post(index, lines, { 'content-type': 'application/x-ndjson' })).status).toBe(201)
    expect(await ids(index)).toEqual(['a', 'b'])
    const wrong = await post(index, '{"id":"c","text":"one"}\n{"id":', {
      'content-type': 'application/x-ndjson',
    })
    expect(await errorOf(wrong)).toMatchObject({ status: 400, code: 'invalid_json', param: 'documents[1]' })
    expect(await ids(index)).toEqual(['a', 'b'])
  })

  it('cuts texts into chunks whose offsets are those of the text', async () => {
    const index = await made({ chunking: { size: 120, overlap: 30 } })
    const text = `# Été\r\n\r\n${'A sentence with 😀 in it. '.repeat(20)}\n\n## 二\n\n${'日本語の文章です。'.repeat(40)}`
    const { documents } = await (await post(index, [{ id: 'a', text }])).json()
    expect(documents[0].chunks).toBeGreaterThan(8)
    const results = await search(index, { query: 'sentence 日本語', top_k: 50 })
    expect(results).toHaveLength(documents[0].chunks)
    for (const result of results) expect(text).toContain(result.text)
  })

  it('what did not change is neither embedded nor written again', async () => {
    const index = await made()
    const documents = [
      { id: 'a', text: `Once ${unique('x')}`, metadata: { year: 1, topic: 'a' } },
      { id: 'b', text: `Twice ${unique('x')}` },
    ]
    await post(index, documents)
    await hub.settled()
    const calls = hub.provider.count
    const again = [{ ...documents[0], metadata: { topic: 'a', year: 1 } }, documents[1]]
    hub.waves.length = 0
    const reply = await (await post(index, again)).json()
    expect(reply.documents.map(({ unchanged }: { unchanged: boolean }) => unchanged)).toEqual([true, true])
    expect(hub.provider.count).toBe(calls)
    // SET is the embedding cache's, of the write before.
    const names = hub.waves.flat().map((call) => ('script' in call ? call.script.name : call[0]))
    expect(new Set(names.filter((name) => name !== 'SET'))).toEqual(new Set(['HMGET']))
    // Metadata is a part of it; the text is not embedded again for it.
    const changed = await (
      await post(index, [{ ...documents[0], metadata: { year: 2 } }, documents[1]])
    ).json()
    expect(changed.documents.map(({ unchanged }: { unchanged: boolean }) => unchanged)).toEqual([false, true])
    expect(hub.provider.count).toBe(calls)
    const filter = { type: 'eq', key: 'year', value: 2 }
    expect((await search(index, { query: 'once', filter })).map((one) => one.document_id)).toEqual(['a'])
  })

  it('replaces a document as a whole: no chunk of the old one is found any more', async () => {
    const index = await made({ chunking: { size: 100, overlap: 0 } })
    await post(index, [{ id: 'a', text: 'Old words stand here. '.repeat(30) }])
    await post(index, [{ id: 'a', text: 'New words.' }])
    const results = await search(index, { query: 'old words', top_k: 100 })
    expect(results.map(({ text }) => text)).toEqual(['New words.'])
    expect(await (await get(index, 'a')).json()).toMatchObject({ text: 'New words.', chunks: 1 })
  })

  it('with an Idempotency-Key the same call makes the same documents', async () => {
    const index = await made()
    const once = { ...json, 'idempotency-key': unique('key') }
    const call = async () =>
      (await (await post(index, [{ text: 'one' }, { text: 'one' }], once)).json()).documents
    const first = await call()
    expect((await call()).map(({ id }: { id: string }) => id)).toEqual(
      first.map(({ id }: { id: string }) => id),
    )
    expect(await ids(index)).toHaveLength(2)
  })

  it('brings its own vectors, each of a whole document in one chunk', async () => {
    const index = await made({ embedding_model: null, dimensions: 3, chunking: { size: 100, overlap: 0 } })
    const text = 'A long text that would be many chunks. '.repeat(30)
    const reply = await post(index, [
      { id: 'a', text, vector: [1, 0, 0] },
      { id: 'b', text: 'other', vector: [0, 1, 0] },
    ])
    expect((await reply.json()).documents[0]).toEqual({ id: 'a', chunks: 1, unchanged: false })
    expect(
      (await search(index, { vector: [1, 0.1, 0], mode: 'vector' })).map((one) => one.document_id),
    ).toEqual(['a', 'b'])
    const turned = await (await post(index, [{ id: 'a', text, vector: [0, 0, 1] }])).json()
    expect(turned.documents[0].unchanged).toBe(false)
  })

  it('takes whatever text and id there may be', async () => {
    const index = await made()
    const strange = ['a/b', 'ünï 😀', '{x}:y', 'a#1.2', '%2F', '..', ' ', '"', 'constructor']
    const texts = strange.map((id) => ({ id, text: `\ufeff${id} \u0000 \u2028 text` }))
    expect((await post(index, texts)).status).toBe(201)
    for (const { id, text } of texts) {
      const reply = await get(index, id)
      // `..` cannot be named in a path.
      if (id !== '..') expect(await reply.json()).toMatchObject({ id, text })
    }
    expect((await ids(index)).toSorted()).toEqual(strange.toSorted())
    const found = await search(index, { query: 'text', top_k: 50 })
    expect(found.map((one) => one.document_id).toSorted()).toEqual(strange.toSorted())
  })
})

describe('bad input gets a clear error, and nothing is written', () => {
  let index: string
  let bare: string
  beforeAll(async () => {
    index = await made()
    bare = await made({ embedding_model: null, dimensions: 3 })
  })
  const good = { id: 'good', text: 'good' }
  const long = 'x'.repeat(513)
  it.each<[string, object, string, number?]>([
    ['no text', { id: 'x' }, 'text'],
    ['an empty text', { text: '' }, 'text'],
    ['a text of white space', { text: ' \n\u3000' }, 'text'],
    ['half of a surrogate pair', { text: 'a\ud800b' }, 'text'],
    ['an empty id', { id: '', text: 'x' }, 'id'],
    ['too long an id', { id: long, text: 'x' }, 'id'],
    ['a control character in the id', { id: 'a\nb', text: 'x' }, 'id'],
    ['half of a surrogate pair in the id', { id: 'a\udc00', text: 'x' }, 'id'],
    ['the same id twice', { id: 'good', text: 'x' }, 'id'],
    ['an unknown field', { text: 'x', body: 'y' }, 'body'],
    ['metadata that is a list', { text: 'x', metadata: [] }, 'metadata'],
    ['a number that is a string', { text: 'x', metadata: { year: '2020' } }, 'metadata.year'],
    ['a tag that is a number', { text: 'x', metadata: { topic: 7 } }, 'metadata.topic'],
    ['tags that are not strings', { text: 'x', metadata: { topic: ['a', 1] } }, 'metadata.topic'],
    ['a text that is a boolean', { text: 'x', metadata: { title: true } }, 'metadata.title'],
    [
      'half of a surrogate pair in the metadata',
      { text: 'x', metadata: { a: { b: ['\ud800'] } } },
      'metadata.a.b[0]',
    ],
    ['too much metadata', { text: 'x', metadata: { a: 'x'.repeat(70_000) } }, 'metadata'],
    ['a vector of another length', { text: 'x', vector: [1, 2] }, 'vector'],
    ['too large a text', { text: 'é'.repeat(6 * 1024 * 1024) }, 'text', 413],
  ])('%s', async (_, document, field, status = 400) => {
    const reply = await errorOf(await post(index, [good, document]))
    expect(reply).toMatchObject({ status, param: `documents[1].${field}` })
    expect((await get(index, 'good')).status).toBe(404)
  })

  it.each<[string, unknown]>([
    ['zero', [0, 0, 0]],
    ['more than a float32 holds', [1, 1e39, 0]],
    ['less than a float32 holds', [1e-60, 0, 0]],
    ['null', [1, null, 0]],
  ])('a vector with %s', async (_, vector) => {
    const reply = await errorOf(await post(bare, [{ id: 'v', text: 'x', vector }]))
    expect(reply.status).toBe(400)
    expect(reply.param).toMatch(/^documents\[0\]\.vector/)
    expect((await get(bare, 'v')).status).toBe(404)
  })

  it.each<[string, unknown, Record<string, string>, object]>([
    [
      'no vector where there is no model',
      [{ text: 'x' }],
      json,
      { status: 400, param: 'documents[0].vector' },
    ],
    ['no list', { text: 'x' }, json, { status: 400, param: 'body' }],
    ['an empty list', [], json, { status: 400, param: 'documents' }],
    [
      'a number without end',
      '[{"text":"x","metadata":{"year":1e999}}]',
      json,
      { status: 400, param: 'documents[0].metadata.year' },
    ],
    [
      'deep metadata',
      `[{"text":"x","metadata":{"a":${'['.repeat(5_000)}${']'.repeat(5_000)}}}]`,
      json,
      { status: 400, param: 'body' },
    ],
    ['another content type', '<a/>', { 'content-type': 'application/xml' }, { status: 415 }],
  ])('%s', async (_, body, headers, expected) => {
    expect(await errorOf(await post(bare, body, headers))).toMatchObject(expected)
  })

  it('a text in which the model finds nothing', async () => {
    const raw = JSON.stringify({ object: 'list', data: [{ index: 0, embedding: Array(1536).fill(0) }] })
    await using strange = await startApp({ provider: { raw } })
    const reply = await strange.send('POST', `/v1/indexes/${index}/documents`, [{ id: 'zero', text: '---' }])
    expect(await errorOf(reply)).toMatchObject({
      status: 422,
      code: 'zero_embedding',
      param: 'documents[0].text',
    })
    expect((await get(index, 'zero')).status).toBe(404)
  })

  it('bytes that are not UTF-8', async () => {
    const body = Buffer.concat([Buffer.from('[{"text":"a'), Buffer.from([0xff]), Buffer.from('"}]')])
    const init = { method: 'POST', body, headers: { host: 'localhost', ...json } }
    const reply = await errorOf(await hub.request(`/v1/indexes/${index}/documents`, init))
    expect(reply).toMatchObject({ status: 400, code: 'invalid_encoding' })
  })

  it('more documents than may be', async () => {
    const many = Array.from({ length: 1_001 }, () => ({ text: 'x' }))
    expect(await errorOf(await post(index, many))).toMatchObject({ status: 400, param: 'documents' })
  })

  it('an index or a document that is not there', async () => {
    expect(await errorOf(await post(unique('none'), [good]))).toMatchObject({
      status: 404,
      code: 'index_not_found',
    })
    expect(await errorOf(await get(index, 'none'))).toMatchObject({ status: 404, code: 'document_not_found' })
    expect(await errorOf(await remove(index, 'none'))).toMatchObject({
      status: 404,
      code: 'document_not_found',
    })
  })

  it('of one document the path needs no number', async () => {
    const wrong = { text: 'x', metadata: { year: 'y' } }
    expect(await errorOf(await put(index, 'a', wrong))).toMatchObject({ status: 400, param: 'metadata.year' })
  })
})

describe('documents', () => {
  it('are listed by id, in pages', async () => {
    const index = await made()
    await post(
      index,
      ['c', 'a', 'b', 'd'].map((id) => ({ id, text: id })),
    )
    expect(await listed(index, '?limit=2')).toEqual({ data: [{ id: 'a' }, { id: 'b' }], next: 'b' })
    expect(await listed(index, '?limit=2&after=b')).toEqual({ data: [{ id: 'c' }, { id: 'd' }], next: null })
    expect((await (await hub.get(`/v1/indexes/${index}`)).json()).documents).toBe(4)
  })

  it('are deleted: gone at once, and found no more', async () => {
    const index = await made()
    await post(index, [
      { id: 'a', text: 'one thing' },
      { id: 'b', text: 'another thing' },
    ])
    expect((await remove(index, 'a')).status).toBe(204)
    expect((await get(index, 'a')).status).toBe(404)
    expect((await search(index, { query: 'thing' })).map((one) => one.document_id)).toEqual(['b'])
    expect((await remove(index, 'a')).status).toBe(404)
    await hub.settled()
    expect(await ids(index)).toEqual(['b'])
    const again = await (await post(index, [{ id: 'a', text: 'one thing' }])).json()
    expect(again.documents[0].unchanged).toBe(false)
    await hub.settled()
    expect((await search(index, { query: 'one thing' }))[0]!.document_id).toBe('a')
  })

  it('are deleted by a filter, exactly those that pass', async () => {
    const index = await made()
    const topics = ['a', 'b', ['a', 'b'], undefined]
    const all = Array.from({ length: 450 }, (_, i) => ({
      id: `d${String(i).padStart(3, '0')}`,
      text: `Text ${i}`,
      metadata: { year: i, topic: topics[i % 4] },
    }))
    await post(index, all)
    const filter = {
      type: 'and',
      filters: [
        { type: 'lt', key: 'year', value: 400 },
        { type: 'ne', key: 'topic', value: 'a' },
      ],
    }
    const reply = await post(index, { filter }, json, 'documents/delete')
    expect(await reply.json()).toEqual({ deleted: 200 })
    await hub.settled()
    const left = all.filter(
      ({ metadata: { year, topic } }) => year >= 400 || topic === 'a' || Array.isArray(topic),
    )
    expect((await listed(index, '?limit=1000')).data).toEqual(left.map(({ id }) => ({ id })))
    expect(await (await post(index, { filter }, json, 'documents/delete')).json()).toEqual({ deleted: 0 })
    const wrong = { filter: { type: 'eq', key: 'other', value: 1 } }
    expect(await errorOf(await post(index, wrong, json, 'documents/delete'))).toMatchObject({
      status: 400,
      param: 'filter.key',
    })
  })

  it('are copied to an index of another model, page by page, and the alias follows', async () => {
    const [from, to] = [await made(), await made({ embedding_model: 'openai/text-embedding-3-large' })]
    const alias = unique('alias')
    const lead = (index: string) => hub.send('PUT', `/v1/index-aliases/${alias}`, { index })
    await lead(from)
    await post(
      from,
      Array.from({ length: 25 }, (_, i) => ({ id: `d${i}`, text: `Text ${i}`, metadata: { year: i } })),
    )
    let cursor: string | null | undefined
    const pages: number[] = []
    do {
      const page = await (
        await post(alias, { to, cursor: cursor ?? undefined, limit: 10 }, json, 'copy')
      ).json()
      pages.push(page.copied)
      cursor = page.cursor
    } while (cursor)
    expect(pages).toEqual([10, 10, 5])
    await lead(to)
    expect(await (await get(alias, 'd7')).json()).toMatchObject({ text: 'Text 7', metadata: { year: 7 } })
    expect((await search(alias, { query: 'text 7', top_k: 30 })).length).toBe(25)
    expect(await (await post(from, { to, limit: 100 }, json, 'copy')).json()).toEqual({
      copied: 25,
      unchanged: 25,
      cursor: null,
    })
    expect(await errorOf(await post(from, { to: from }, json, 'copy'))).toMatchObject({
      status: 400,
      param: 'to',
    })
    expect(await errorOf(await post(from, { to: unique('none') }, json, 'copy'))).toMatchObject({
      status: 404,
      param: 'to',
    })
  })

  it('over HTTP to Redis they are the same, a text of a megabyte too', async () => {
    const bridge = await startTestBridge({ redisUrl: testRedisUrl() })
    onTestFinished(bridge.close)
    const env = { REDIS_URL: '', UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token }
    await using rest = await startApp({ env })
    const index = await made({ dimensions: 8 })
    const text = 'A line of 😀 text, again and again.\n'.repeat(30_000)
    const path = `/v1/indexes/${index}/documents`
    expect((await rest.send('POST', path, [{ id: 'a', text: 'old' }])).status).toBe(201)
    expect((await rest.send('POST', path, [{ id: 'a', text }])).status).toBe(201)
    await rest.settled()
    expect((await (await get(index, 'a')).json()).text).toBe(text)
    expect((await rest.delete(`${path}/a`)).status).toBe(204)
    await rest.settled()
    expect(await search(index, { query: 'text' })).toEqual([])
  })

  it('of two that write the same at the same time, the later one stays, whole', async () => {
    const index = await made({ chunking: { size: 100, overlap: 0 } })
    const other = await startApp()
    for (let round = 0; round < 5; round++) {
      const texts = Array.from({ length: 8 }, (_, i) =>
        `Writer${i} of round ${round} says. `.repeat(4 + i * 3),
      )
      const writers = texts.map((text, i) =>
        (i % 2 ? hub : other).send('POST', `/v1/indexes/${index}/documents`, [{ id: 'a', text }]),
      )
      for (const reply of await Promise.all(writers)) expect(reply.status).toBe(201)
      await Promise.all([hub.settled(), other.settled()])
      const { text, chunks } = await (await get(index, 'a')).json()
      expect(texts).toContain(text)
      const found = await search(index, { query: 'writer says', top_k: 500 })
      expect(found).toHaveLength(chunks)
      for (const chunk of found) expect(text).toContain(chunk.text)
    }
    await other[Symbol.asyncDispose]()
  })
})
