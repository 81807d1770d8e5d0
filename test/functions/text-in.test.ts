import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPdfUnpdf } from '../../shared/drivers/pdf-unpdf.ts'
import { startApp, type TestApp, unique } from '../support/app.ts'
import { makePdf } from '../support/pdf.ts'

let hub: TestApp
let index: string
beforeAll(async () => {
  hub = await startApp({ readPdf: createPdfUnpdf({ maxPages: 3 }) })
  index = unique('texts')
  await hub.send('PUT', `/v1/indexes/${index}`, { fields: { year: 'number' } })
})
afterAll(() => hub[Symbol.asyncDispose]())

const put = (
  id: string,
  body: string | Uint8Array,
  type: string,
  headers: Record<string, string> = {},
  at = hub,
) =>
  at.request(`/v1/indexes/${index}/documents/${id}`, {
    method: 'PUT',
    body: body as BodyInit,
    headers: { host: 'localhost', 'content-type': type, ...headers },
  })
const read = async (id: string) => (await hub.get(`/v1/indexes/${index}/documents/${id}`)).json()
const errorOf = async (reply: Response) => ({ status: reply.status, ...(await reply.json()).error })

describe('PUT …/documents/{id}', () => {
  it('takes text and Markdown as they are', async () => {
    const text = '\n# Titel\r\n\r\nÜber alles.\n'
    expect(await (await put('plain', text, 'text/plain')).json()).toEqual({
      id: 'plain',
      chunks: 1,
      unchanged: false,
    })
    expect((await read('plain')).text).toBe(text)
    expect((await put('md', text, 'text/markdown; charset=utf-8')).status).toBe(200)
    expect((await read('md')).text).toBe(text)
  })

  it('takes other charsets that it is told of', async () => {
    await put('latin', new Uint8Array([0x4d, 0xfc, 0x6c, 0x6c]), 'text/plain; charset="iso-8859-1"')
    expect((await read('latin')).text).toBe('Müll')
    expect(await errorOf(await put('x', 'x', 'text/plain; charset=klingon'))).toMatchObject({ status: 415 })
  })

  it('takes JSON with metadata, and files with metadata beside them', async () => {
    await put('json', JSON.stringify({ text: 'x', metadata: { year: 1 } }), 'application/json')
    await put('header', 'x', 'text/plain', { 'x-hub-metadata': '{"year":2,"city":"K\\u00f6ln"}' })
    await put('query?metadata=%7B%22year%22%3A3%7D', 'x', 'text/plain')
    expect((await read('json')).metadata).toEqual({ year: 1 })
    expect((await read('header')).metadata).toEqual({ year: 2, city: 'Köln' })
    expect((await read('query')).metadata).toEqual({ year: 3 })
    for (const [metadata, param] of [
      ['{', 'metadata'],
      ['[]', 'metadata'],
      ['{"year":"x"}', 'metadata.year'],
    ] as const) {
      const reply = await put('bad', 'x', 'text/plain', { 'x-hub-metadata': metadata })
      expect(await errorOf(reply)).toMatchObject({ status: 400, param })
    }
  })

  it('reads what a reader of an HTML page reads', async () => {
    const html = `<!doctype html><html><head><title>Shown in the tab</title><style>p { color: red }</style></head><body>
      <nav><a href="/">Home</a></nav><div hidden>secret</div><div role=navigation>crumbs</div>
      <h1>The <em>title</em></h1><p>Fish &amp; chips&nbsp;cost<br>5&nbsp;&euro; &lt;today&gt;.</p>
      <ul><li>one</li><li><p>two <b>bold</b>, really</p></li></ul>
      <table><tr><th>Name</th><th>Size</th></tr><tr><td>a</td><td>1</td></tr></table>
      <pre>  keep
    this</pre><script>alert("no")</script><p>Unclosed <i>to the end`
    expect((await put('html', html, 'text/html')).status).toBe(200)
    expect((await read('html')).text).toBe(
      [
        '# The title',
        'Fish & chips cost\n5 € <today>.',
        '- one\n- two bold, really',
        'Name | Size\na | 1',
        '  keep\n    this',
        'Unclosed to the end',
      ].join('\n\n'),
    )
    await put('titled', '<title>Only  a\ntitle</title><body>and text', 'text/html')
    expect((await read('titled')).text).toBe('# Only a title\n\nand text')
  })

  it('reads PDFs, page for page', async () => {
    expect((await put('pdf', makePdf(['The first (page)', 'The second']), 'application/pdf')).status).toBe(
      200,
    )
    expect((await read('pdf')).text).toBe('The first (page)\n\nThe second')
  })

  it('the same file again is unchanged', async () => {
    const pdf = makePdf([unique('page')])
    await put('same', pdf, 'application/pdf')
    expect((await (await put('same', pdf, 'application/pdf')).json()).unchanged).toBe(true)
  })
})

describe('a file that cannot be read gets a clear error, and what stood there stays', () => {
  const latin = new Uint8Array([0x4d, 0xfc, 0x6c, 0x6c])
  const pdf = 'application/pdf'
  it.each<[string, string | Uint8Array, string, number, string]>([
    ['an empty file', '', 'text/plain', 400, 'invalid_value'],
    ['a file of white space', ' \n ', 'text/markdown', 400, 'invalid_value'],
    ['text that is not UTF-8', latin, 'text/plain', 400, 'invalid_encoding'],
    ['HTML that is not UTF-8', latin, 'text/html', 400, 'invalid_encoding'],
    ['HTML without a text', '<script>render()</script><div id=root></div>', 'text/html', 422, 'no_text'],
    ['HTML that nests too deep', '<div>'.repeat(100_000), 'text/html', 422, 'html_too_deep'],
    ['an empty PDF', '', pdf, 422, 'invalid_pdf'],
    ['a PDF that is none', 'hello', pdf, 422, 'invalid_pdf'],
    ['a broken PDF', makePdf(['Hello']).slice(0, 300), pdf, 422, 'invalid_pdf'],
    ['a PDF with a password', makePdf(['Hello'], { encrypted: true }), pdf, 422, 'pdf_encrypted'],
    ['a PDF of pictures', makePdf(['', '']), pdf, 422, 'no_text'],
    ['a PDF of too many pages', makePdf(['a', 'b', 'c', 'd']), pdf, 413, 'pdf_too_long'],
    ['another type', 'x', 'application/msword', 415, 'unsupported_media_type'],
    ['a type that only begins like one', 'x', 'text/htmlish', 415, 'unsupported_media_type'],
    ['malformed JSON', '{', 'application/json', 400, 'invalid_json'],
  ])('%s', async (_, body, type, status, code) => {
    const id = unique('kept')
    await put(id, 'It stays.', 'text/plain')
    expect(await errorOf(await put(id, body, type))).toMatchObject({ status, code })
    expect((await read(id)).text).toBe('It stays.')
  })

  it('a file larger than a body may be', async () => {
    const reply = await put('large', 'x'.repeat(21 * 1024 * 1024), 'text/plain')
    expect(await errorOf(reply)).toMatchObject({ status: 413, code: 'body_too_large' })
    expect(await errorOf(await put('large', 'x'.repeat(11 * 1024 * 1024), 'text/plain'))).toMatchObject({
      status: 413,
      code: 'text_too_large',
      param: 'text',
    })
  })

  it('a PDF where the runtime reads none, with the reason', async () => {
    await using edge = await startApp()
    const reply = await errorOf(await put('edge', makePdf(['x']), 'application/pdf', {}, edge))
    expect(reply).toMatchObject({ status: 501, code: 'not_supported' })
    expect(reply.message).toContain('Node')
  })
})

describe('createPdfUnpdf', () => {
  const { signal } = new AbortController()

  it('gives up a PDF that takes too long or too much memory, and reads on', async () => {
    const impatient = createPdfUnpdf({ timeoutMs: 1 })
    await expect(impatient(makePdf(['x']), { signal })).rejects.toMatchObject({ code: 'pdf_too_complex' })
    const small = createPdfUnpdf({ memoryMiB: 64, threads: 1 })
    const bomb = makePdf(['x'], { padding: 300_000_000 })
    await expect(small(bomb, { signal })).rejects.toMatchObject({ code: 'pdf_too_complex' })
    expect(await small(makePdf(['x']), { signal })).toEqual(['x'])
  })

  it('ends when its caller leaves', async () => {
    const read = createPdfUnpdf({ threads: 1 })
    const left = new AbortController()
    const reading = read(makePdf(['x'], { padding: 100_000_000 }), { signal: left.signal })
    left.abort(new Error('gone'))
    await expect(reading).rejects.toThrow('gone')
    expect(await Promise.all([1, 2, 3].map((n) => read(makePdf([`page ${n}`]), { signal })))).toEqual([
      ['page 1'],
      ['page 2'],
      ['page 3'],
    ])
  })
})
