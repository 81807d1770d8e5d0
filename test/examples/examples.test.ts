import { Validator } from '@cfworker/json-schema'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stories } from '../../functions/examples/stories.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub } from '../support/hub.ts'
import { startQuietRedis } from '../support/redis.ts'
import { createFollow, type Document, type Operation, operationsOf, toRequest } from './document.ts'
import { startShell } from './shell.ts'
import { startStandIns } from './stand-ins.ts'

const authorization = `Bearer ${ADMIN_KEY}`

// Once as a reader of the document builds the request, as the reference does, and once by the command that it shows.
describe.each(['request', 'command'])('as a %s', (way) => {
  let redis: Awaited<ReturnType<typeof startQuietRedis>>
  let hub: NodeHub
  let standIns: Awaited<ReturnType<typeof startStandIns>>
  let document: Document
  let operations: Map<string, Operation>
  const follow = createFollow()
  let shell: ReturnType<typeof startShell>

  beforeAll(async () => {
    ;[redis, standIns] = await Promise.all([startQuietRedis(), startStandIns()])
    const secrets = { HUB_SECRET_KEY: 'a secret key of the tests', OPENAI_API_KEY: undefined }
    hub = await startNodeHub({ REDIS_URL: redis.url, ...secrets })
    document = (await (await fetch(`${hub.url}/openapi.json`)).json()) as Document
    operations = operationsOf(document)
    shell = startShell({ PATH: process.env.PATH!, HUB_URL: hub.url, HUB_KEY: ADMIN_KEY })
    // The one thing that no example makes: a second index, to copy into.
    const route = 'PUT /v1/indexes/{index}'
    const { path, init } = toRequest(route, operations.get(route)!, follow)
    const headers = { authorization, 'content-type': 'application/json' }
    const made = await fetch(`${hub.url}${path}-2`, { ...init, headers })
    expect(made.status).toBe(201)
  })
  afterAll(async () => {
    shell?.stop()
    await hub?.stop()
    await standIns?.close()
    await redis?.stop()
  })

  it('there is one of every route, and none too many', () => {
    expect([...operations.keys()].toSorted()).toEqual(Object.keys(stories).toSorted())
  })

  it.each(Object.keys(stories))('%s', async (route) => {
    const operation = operations.get(route)!
    const { status, headers, text } = await (way === 'request' ? request : command)(route, operation)
    const response = responseOf(operation, status)
    expect({ status, text, isSuccess: status >= 200 && status < 300 }).toEqual({
      status,
      text,
      isSuccess: true,
    })
    expect({ status, response }).toEqual({ status, response: expect.any(Object) })
    const { content = {}, links } = response!
    const type = headers.get('content-type')?.split(';')[0] ?? ''
    if (text !== '') expect(Object.keys(content)).toContain('*/*' in content ? '*/*' : type)
    if (type !== 'application/json') return
    const value = JSON.parse(text)
    const schema = content[type]?.schema ?? {}
    const whole = closed({ ...schema, components: document.components }) as object
    const { errors } = new Validator(whole, '2020-12', false).validate(value)
    expect({ errors, value }).toEqual({ errors: [], value })
    shell.set(follow.take(links, headers, value))
  })

  async function request(route: string, operation: Operation) {
    const { path, init } = toRequest(route, operation, follow)
    const headers = new Headers(init.headers)
    if (operation.security?.length !== 0) headers.set('authorization', authorization)
    const leaving = new AbortController()
    const signal = AbortSignal.any([leaving.signal, AbortSignal.timeout(20_000)])
    const body = typeof init.body === 'string' ? standIns.put(init.body) : init.body
    const reply = await fetch(hub.url + path, { ...init, headers, body, signal })
    const goesOn = reply.headers.get('content-type')?.startsWith('text/event-stream')
    const text = goesOn ? 'event:' : await reply.text()
    leaving.abort()
    return { status: reply.status, headers: reply.headers, text }
  }

  /** As it is shown, but that curl tells the head of the reply too, and does not wait for ever. */
  async function command(_: string, { 'x-codeSamples': [sample] = [] }: Operation) {
    const goesOn = sample!.source.includes('text/event-stream') && sample!.source.includes('-sSN')
    const source = standIns.put(sample!.source).replace('curl ', `curl -i --max-time ${goesOn ? 0.5 : 20} `)
    const { code, output } = await shell.run(source)
    expect({ code, output }).toEqual({ code: goesOn ? TIMED_OUT : 0, output })
    const end = output.indexOf('\r\n\r\n')
    const [first = '', ...lines] = output.slice(0, end).split('\r\n')
    const headers = new Headers(lines.map((line) => line.split(/: (.*)/).slice(0, 2) as [string, string]))
    return { status: Number(first.split(' ')[1]), headers, text: goesOn ? 'event:' : output.slice(end + 4) }
  }
})

/** What curl ends with. */
const TIMED_OUT = 28

/** With no more fields in a reply than are told, where a schema does not say that it is open. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const parts = Object.entries(schema).map(([name, part]) => [name, closed(part)])
  const isOpen = !('properties' in schema) || 'additionalProperties' in schema || 'allOf' in schema
  return { ...Object.fromEntries(parts), ...(!isOpen && { additionalProperties: false }) }
}

/** The failure that every route has is none. */
function responseOf({ responses = {} }: Operation, status: number) {
  const { default: others } = responses
  return responses[status] ?? (others && '$ref' in others ? undefined : others)
}
