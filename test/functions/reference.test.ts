import { Validator } from '@seriousme/openapi-schema-validator'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { table } from '../../functions/index.ts'
import type { Operation } from '../../functions/reference-examples.ts'
import { TAGS } from '../../functions/reference-tags.ts'
import { startApp, type TestApp } from '../support/app.ts'

interface Described extends Operation {
  summary?: string
  tags?: string[]
}
interface Document {
  paths: Record<string, Record<string, Described>>
  tags: { name: string; description: string }[]
}

const PAGES: Record<string, string> = { 'docs.html': '<!doctype html><title>reference</title>' }

let hub: TestApp
let document: Document
let operations: { route: string; path: string; operation: Described }[]
beforeAll(async () => {
  const assets = async (path: string) =>
    path in PAGES ? new Response(PAGES[path], { headers: { 'content-type': 'text/html' } }) : undefined
  hub = await startApp({ assets })
  document = (await (await hub.get('/openapi.json')).json()) as Document
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...{ route: `${method.toUpperCase()} ${path}`, path, operation },
    })),
  )
})
afterAll(() => hub[Symbol.asyncDispose]())

describe('the OpenAPI document', () => {
  it('is valid by the specification, 3.1', async () => {
    const validator = new Validator()
    const { valid, errors } = await validator.validate(
      structuredClone(document) as unknown as Record<string, unknown>,
    )
    expect({ valid, errors, version: validator.version }).toEqual({ valid: true, version: '3.1' })
  })

  it('names each operation once, and says what it does', () => {
    const ids = operations.map(({ operation }) => operation.operationId)
    expect(new Set(ids).size).toBe(ids.length)
    for (const { route, operation } of operations) {
      expect({ route, summary: operation.summary }).toEqual({
        route,
        summary: expect.stringMatching(/^[A-Z].{5,}[^.]$/),
      })
    }
  })

  it('has a section for each function, in which its routes are', () => {
    expect(Object.keys(TAGS).toSorted()).toEqual([...Object.keys(table), 'health'].toSorted())
    expect(document.tags.map(({ name }) => name)).toEqual(Object.keys(TAGS))
    for (const { description } of document.tags) expect(description).not.toBe('')
    const sections = new Map(operations.map(({ route, operation }) => [route, operation.tags]))
    for (const { route, operation } of operations) {
      expect({ route, tags: operation.tags }).toEqual({
        route,
        tags: [expect.toSatisfy((tag) => tag in TAGS)],
      })
    }
    expect(sections.get('GET /v1/usage')).toEqual(['usage'])
    expect(sections.get('GET /gateway/{path}')).toEqual(['gateway'])
    const outside = operations
      .filter(({ operation }) => operation.tags?.[0] === 'health')
      .map(({ route }) => route)
    expect(outside).toEqual(['GET /healthz', 'GET /readyz'])
  })

  it('describes every parameter', () => {
    const silent = operations.flatMap(({ route, operation }) =>
      (operation.parameters ?? [])
        .filter((one) => !one.description && !(one.schema as { description?: string })?.description)
        .map(({ in: where, name }) => `${route}: ${where} ${name}`),
    )
    expect(silent).toEqual([])
  })

  it('says what each success brings', () => {
    for (const { route, operation } of operations) {
      const good = Object.entries(operation.responses ?? {}).filter(([status]) => /^2/.test(status))
      const others = operation.responses?.default
      expect({ route, good: good.length > 0 || (others && !('$ref' in others)) }).toEqual({
        route,
        good: true,
      })
      for (const [status, { content = {} }] of good) {
        if (status === '204') expect({ route, content }).toEqual({ route, content: {} })
        const json = content['application/json']
        if (json) expect({ route, schema: json.schema }).toEqual({ route, schema: expect.any(Object) })
      }
    }
  })

  it('opens nothing without a key but what is meant to be', () => {
    const open = operations
      .filter(({ operation }) => operation.security?.length === 0)
      .map(({ route }) => route)
    expect(open.toSorted()).toEqual([
      'DELETE /v1/dashboard-session',
      'GET /healthz',
      'GET /readyz',
      'GET /v1/dashboard-session',
      'GET /v2/health/live',
      'GET /v2/health/ready',
      'POST /v1/dashboard-session',
      'POST /v1/webhooks/{source}',
    ])
  })

  it('tells only of functions that are deployed', async () => {
    await using small = await startApp({ env: { FUNCTIONS: 'embed' } })
    const { paths, tags } = (await (await small.get('/openapi.json')).json()) as Document
    expect(tags.map(({ name }) => name)).toEqual(['embed', 'health'])
    expect(paths).toHaveProperty(['/v1/embeddings', 'post', 'x-codeSamples'])
    expect(paths).not.toHaveProperty(['/v1/usage'])
  })
})

it('/docs is shown without a key, runs scripts of this hub only and asks nobody else', async () => {
  const reply = await hub.get('/docs')
  expect({ status: reply.status, text: await reply.text() }).toEqual({
    status: 200,
    text: PAGES['docs.html'],
  })
  const policy = reply.headers.get('content-security-policy')
  for (const part of [
    "default-src 'none'",
    "script-src 'self'",
    "connect-src 'self'",
    "frame-ancestors 'none'",
  ])
    expect(policy?.split('; ')).toContain(part)
})

it('a hub whose pages are not built says how to build them', async () => {
  await using bare = await startApp()
  const reply = await bare.get('/docs')
  expect(reply.status).toBe(404)
  expect((await reply.json()).error.message).toContain('npm run build:face')
})
