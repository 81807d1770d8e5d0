import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { unique } from '../support/app.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub, until } from '../support/hub.ts'
import { testRedisUrl } from '../support/redis.ts'

const root = new URL('../..', import.meta.url).pathname

let hub: NodeHub
let folder: string
beforeAll(async () => {
  hub = await startNodeHub({ REDIS_URL: testRedisUrl(), OPENAI_API_KEY: undefined })
  folder = await mkdtemp(join(tmpdir(), 'hub-cli-'))
})
afterAll(async () => {
  await hub?.stop()
  if (folder) await rm(folder, { recursive: true, force: true })
})

/** `npm run hub -- …` as a process of its own. */
function start(
  args: string[],
  { url = hub.url, env = {} }: { url?: string; env?: Record<string, string> } = {},
) {
  const child = spawn(process.execPath, [join(root, 'infra/hub.ts'), ...args], {
    env: { PATH: process.env.PATH, HUB_URL: url, HUB_KEY: ADMIN_KEY, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (part) => {
    said.out += part
  })
  child.stderr.setEncoding('utf8').on('data', (part) => {
    said.err += part
  })
  const ended = once(child, 'close').then(([code]) => ({ code, ...said }))
  return { child, ended }
}
const run = (...args: string[]) => start(args).ended

async function write(files: Record<string, string | Uint8Array>): Promise<string> {
  const place = await mkdtemp(join(folder, 'files-'))
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(place, name, '..'), { recursive: true })
    await writeFile(join(place, name), content)
  }
  return place
}

async function get(path: string) {
  const reply = await fetch(hub.url + path, { headers: { authorization: `Bearer ${ADMIN_KEY}` } })
  return { status: reply.status, body: await reply.json() }
}
const documentOf = (index: string, id: string) =>
  get(`/v1/indexes/${index}/documents/${encodeURIComponent(id)}`)

/** A server that stands in for another one, and notes what it was asked. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const documents = {
  'guide/start.md': '# Start\n\nThe quick brown fox starts here.',
  'guide/page.html': '<html><body><h1>Page</h1><p>Lazy dogs sleep all day.</p></body></html>',
  'notes.txt': 'Honey never spoils.',
  '.git/config.txt': 'hidden',
  'node_modules/x/readme.md': 'foreign',
  'picture.png': new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0, 1, 2]),
}

describe('ingest', () => {
  it('makes the index, and puts the documents of a folder into it under their paths', async () => {
    const index = unique('cli')
    const place = await write(documents)
    const { code, out, err } = await run('ingest', place, '--index', index)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain('3 written, 0 unchanged, 0 failed')
    expect((await documentOf(index, 'guide/start.md')).body.text).toContain('quick brown fox')
    expect((await documentOf(index, 'guide/page.html')).body.text).not.toContain('<p>')
    expect((await documentOf(index, '.git/config.txt')).status).toBe(404)
  })

  it('again skips what did not change, and sums up as JSON', async () => {
    const index = unique('cli')
    const place = await write(documents)
    await run('ingest', place, '--index', index)
    await writeFile(join(place, 'notes.txt'), 'Honey keeps for ever.')
    const { code, out } = await run('ingest', place, '--index', index, '--json')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      ...{
        index,
        total: 3,
        written: 1,
        unchanged: 2,
        failed: 0,
        failures: [],
        interrupted: false,
        skipped: 1,
      },
    })
  })

  it('names what failed, goes on with the rest, and exits with 1', async () => {
    const index = unique('cli')
    const place = await write({ 'bad.txt': new Uint8Array([0xff, 0xfe, 0xfd]), 'good.txt': 'All is well.' })
    const { code, out, err } = await run('ingest', place, '--index', index)
    expect(code).toBe(1)
    expect(out).toContain('1 written, 0 unchanged, 1 failed')
    expect(err).toContain('bad.txt')
    expect((await documentOf(index, 'good.txt')).status).toBe(200)
  })

  it('is interrupted by Ctrl-C with 130, says how to go on, and goes on', async () => {
    const index = unique('cli')
    const count = 60
    const place = await write(
      Object.fromEntries(
        Array.from({ length: count }, (_, n) => [`${n}.md`, `Document number ${n}. `.repeat(20)]),
      ),
    )
    // In front of the hub, so that the first documents are through before the interruption, and the others are not.
    let through = 0
    const held = new Set<ServerResponse>()
    const slow = await serve(async (request, response) => {
      const body: Buffer[] = []
      for await (const part of request) body.push(part)
      if (request.url!.includes('/documents/') && through >= 10) return void held.add(response)
      const headers = {
        authorization: request.headers.authorization!,
        'content-type': request.headers['content-type'] ?? 'text/plain',
      }
      const reply = await fetch(hub.url + request.url, {
        ...{ method: request.method, headers },
        body: body.length ? Buffer.concat(body) : undefined,
      })
      if (request.url!.includes('/documents/')) through++
      response.writeHead(reply.status, { 'content-type': 'application/json' }).end(await reply.text())
    })
    const { child, ended } = start(['ingest', place, '--index', index], { url: slow })
    await until('some are through, others are not', () => held.size > 0)
    child.kill('SIGINT')
    const { code, out } = await ended
    expect(code).toBe(130)
    expect(out).toContain('Run the same command again')
    const again = await run('ingest', place, '--index', index, '--json')
    const summary = JSON.parse(again.out)
    expect(again.code).toBe(0)
    expect(summary.written + summary.unchanged).toBe(count)
    expect(summary.unchanged).toBeGreaterThanOrEqual(10)
  })

  it('waits as long as a busy hub asks, and tries again', async () => {
    const calls: string[] = []
    const busy = await serve((request, response) => {
      calls.push(`${request.method} ${request.url}`)
      request.resume()
      const isFirst =
        calls.filter((call) => call.startsWith('PUT') && call.includes('/documents/')).length === 1
      if (request.method === 'PUT' && request.url!.includes('/documents/') && isFirst) {
        response.writeHead(429, { 'retry-after': '1', 'content-type': 'application/json' })
        return void response.end('{"error":{"message":"slow down","code":"rate_limit_exceeded"}}')
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":"a.txt","chunks":1}')
    })
    const place = await write({ 'a.txt': 'text' })
    const { code, out } = await start(['ingest', place, '--index', 'i'], { url: busy }).ended
    expect(code).toBe(0)
    expect(out).toContain('1 written')
    expect(calls.filter((call) => call.includes('/documents/'))).toHaveLength(2)
  })

  it.each([
    ['no index', ['ingest', '.'], '--index is missing'],
    ['no such folder', ['ingest', '/no/such/place', '--index', 'i'], '/no/such/place'],
    ['an unknown option', ['ingest', '.', '--nope'], '--nope'],
    ['an unknown command', ['digest'], 'no command `digest`'],
  ])('%s: says what to do, and exits with 2', async (_, args, message) => {
    const { code, err } = await run(...args)
    expect(code).toBe(2)
    expect(err).toContain(message)
    expect(err).not.toContain('    at ')
  })

  it('says when there is no hub', async () => {
    const place = await write({ 'a.txt': 'text' })
    const { code, err } = await start(['ingest', place, '--index', 'i'], { url: 'http://127.0.0.1:9' }).ended
    expect(code).toBe(3)
    expect(err).toContain('npm run hub -- start')
  })
})

describe('import', () => {
  const fixture = async (name: string) =>
    JSON.parse(await readFile(join(root, `test/fixtures/import/${name}.json`), 'utf8'))

  /** Pinecone's data plane: `/vectors/list` and `/vectors/fetch`. */
  async function startPinecone(asked: URL[]) {
    const { list, fetch: fetched } = await fixture('pinecone')
    return serve((request, response) => {
      const url = new URL(request.url!, 'http://pinecone')
      asked.push(url)
      if (request.headers['api-key'] !== 'pc-key') return void response.writeHead(401).end('Invalid API Key')
      if (!request.headers['x-pinecone-api-version']) return void response.writeHead(400).end('no version')
      const body =
        url.pathname === '/vectors/list'
          ? list[url.searchParams.get('paginationToken') === list[0].pagination.next ? 1 : 0]
          : {
              ...fetched,
              vectors: Object.fromEntries(
                url.searchParams.getAll('ids').map((id) => [id, fetched.vectors[id]]),
              ),
            }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
  }

  it('from Pinecone’s API: every page, vectors as they are, metadata as fields', async () => {
    const index = unique('cli')
    const asked: URL[] = []
    const url = await startPinecone(asked)
    const args = [
      'import',
      '--from',
      'pinecone',
      url,
      '--index',
      index,
      '--namespace',
      'example-namespace',
      '--json',
    ]
    const { code, out, err } = await start(args, { env: { PINECONE_API_KEY: 'pc-key' } }).ended
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(JSON.parse(out)).toMatchObject({ written: 3, failed: 0, text_field: 'chunk_text' })
    expect(new Set(asked.map(({ searchParams }) => searchParams.get('namespace')))).toEqual(
      new Set(['example-namespace']),
    )
    const made = (await get(`/v1/indexes/${index}`)).body
    expect(made).toMatchObject({
      dimensions: 3,
      embedding_model: null,
      fields: { category: 'tag', year: 'number', tags: 'tag' },
    })
    expect((await documentOf(index, 'doc1#chunk1')).body).toMatchObject({
      text: 'The Eiffel Tower stands in Paris.',
      metadata: { category: 'travel', year: 1889, tags: ['tower', 'iron'] },
    })
    const found = await search(index, {
      vector: [2, 1, 0.5],
      filter: { type: 'gte', key: 'year', value: 2000 },
      mode: 'vector',
    })
    expect(found[0]).toMatchObject({ document_id: 'doc1#chunk2' })
    expect(found.map(({ document_id }) => document_id)).not.toContain('doc1#chunk1')
  })

  it('a refused key is told in the database’s words', async () => {
    const url = await startPinecone([])
    const { code, err } = await run(
      'import',
      '--from',
      'pinecone',
      url,
      '--index',
      'i',
      '--source-key',
      'wrong',
    )
    expect(code).toBe(2)
    expect(err).toContain('401')
    expect(err).toContain('Invalid API Key')
  })

  it('from a Pinecone export, one record a line; vectors that do not fit are made anew', async () => {
    const index = unique('cli')
    const { fetch: fetched } = await fixture('pinecone')
    const lines = Object.values(fetched.vectors).map((record) => JSON.stringify(record))
    const place = await write({ 'export.ndjson': lines.join('\n') })
    const args = [
      '--from',
      'pinecone',
      join(place, 'export.ndjson'),
      '--index',
      index,
      '--embedding-model',
      'local',
    ]
    const { code, out } = await run('import', ...args)
    expect(code).toBe(0)
    expect(out).toContain('3 written')
    const made = (await get(`/v1/indexes/${index}`)).body
    expect(made.dimensions).toBeGreaterThan(3)
    const found = await search(index, { query: 'Where is the Eiffel Tower?' })
    expect(found[0]).toMatchObject({ document_id: 'doc1#chunk1' })
  })

  it('from Weaviate’s API, by its cursor; what has no vector is named', async () => {
    const index = unique('cli')
    const { objects } = await fixture('weaviate')
    const cursors: (string | null)[] = []
    const url = await serve((request, response) => {
      const { searchParams, pathname } = new URL(request.url!, 'http://weaviate')
      expect([pathname, searchParams.get('class'), searchParams.get('include')]).toEqual([
        '/v1/objects',
        'Article',
        'vector',
      ])
      const after = searchParams.get('after') ?? ''
      cursors.push(after)
      // Two a page, whatever was asked: the last page is an empty one.
      const rest = objects.filter(({ id }: { id: string }) => id > after).slice(0, 2)
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ deprecations: null, objects: rest, totalResults: rest.length }))
    })
    const { code, out } = await run(
      'import',
      '--from',
      'weaviate',
      url,
      '--class',
      'Article',
      '--index',
      index,
      '--json',
    )
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({ written: 2, failed: 1, failures: [{ id: objects[2].id }] })
    expect(cursors).toEqual(['', objects[1].id, objects[2].id])
    expect((await documentOf(index, objects[1].id)).body).toMatchObject({
      text: 'Bees make honey from nectar.',
      metadata: { title: 'Bees', wordCount: 5 },
    })
  })

  it('from a Weaviate export (JSON), with the text where it is said to be', async () => {
    const index = unique('cli')
    const { objects } = await fixture('weaviate')
    const place = await write({ 'export.json': JSON.stringify({ objects: objects.slice(0, 2) }, null, 2) })
    const args = ['--from', 'weaviate', join(place, 'export.json'), '--index', index, '--text-field', 'title']
    const { code } = await run('import', ...args)
    expect(code).toBe(0)
    expect((await documentOf(index, objects[0].id)).body.text).toBe('Hello Weaviate')
  })

  it.each([
    ['a field without text', ['--from', 'weaviate', '--text-field', 'wordCount'], 'title, body, wordCount'],
    ['another database', ['--from', 'oracle'], 'only pinecone, weaviate'],
    ['the wrong database', ['--from', 'pinecone'], '--text-field'],
  ])('%s: says so, and exits with 2', async (_, args, message) => {
    const { objects } = await fixture('weaviate')
    const place = await write({ 'export.json': JSON.stringify(objects) })
    const { code, err } = await run('import', join(place, 'export.json'), '--index', unique('cli'), ...args)
    expect(code).toBe(2)
    expect(err).toContain(message)
  })

  async function search(index: string, body: object): Promise<{ document_id: string }[]> {
    const reply = await fetch(`${hub.url}/v1/indexes/${index}/search`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return (await reply.json()).results
  }
})

describe('search and ask', () => {
  it('show what was found, and an answer with numbered citations', async () => {
    const index = unique('cli')
    const place = await write({
      'tower.md': 'The Eiffel Tower stands in Paris. It was opened in 1889.',
      'bees.md': 'Bees make honey from nectar.',
    })
    await run('ingest', place, '--index', index)
    const found = await run('search', 'honey', 'bees', '--index', index, '--top-k', '1')
    expect(found.code).toBe(0)
    expect(found.out).toContain('bees.md')
    const answered = await run('ask', 'Where does the Eiffel Tower stand?', '--index', index)
    expect(answered.code).toBe(0)
    const [, mark] = /\[(\d+)\] tower\.md: “.*Paris/.exec(answered.out)!
    expect(answered.out.split('\n')[0]).toContain(`[${mark}]`)
    const none = await run('search', 'x', '--index', unique('none'))
    expect(none.code).toBe(5)
  })
})
