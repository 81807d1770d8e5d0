import { afterAll, beforeAll, expect, it } from 'vitest'
import { startApp, type TestApp } from '../support/app.ts'

interface Operation {
  parameters?: { in: string; name: string }[]
  requestBody?: { content: Record<string, { schema?: object }> }
  responses: Record<string, { $ref?: string; description?: string }>
}
interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object>; responses: Record<string, object> }
}

let hub: TestApp
let document: Document
beforeAll(async () => {
  hub = await startApp()
  document = (await (await hub.get('/openapi.json')).json()) as Document
})
afterAll(() => hub[Symbol.asyncDispose]())

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ route: `${method} ${path}`, path, operation })),
  )

it('every route has its path’s parameters and a failure, which is OpenAI’s envelope', async () => {
  for (const { route, path, operation } of operations()) {
    const named = (operation.parameters ?? []).filter((one) => one.in === 'path').map(({ name }) => name)
    const wanted = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
    expect({ route, named: named.toSorted() }).toEqual({ route, named: wanted.toSorted() })
    // The gateway's are its upstreams'.
    if (!path.startsWith('/gateway/')) {
      expect({ route, ...operation.responses.default }).toMatchObject({
        ...{ route, $ref: '#/components/responses/Failure' },
      })
    }
    expect(JSON.stringify(operation.responses)).not.toContain('Validation Error')
  }
  const { error } = await (await hub.get('/v1/usage?group_by=nothing')).json()
  const failure = JSON.stringify(document.components.responses.Failure)
  for (const name of Object.keys(error)) expect(failure).toContain(`"${name}"`)
})

it('what refers to another part finds it, and a filter is a filter', () => {
  for (const [, part = ''] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const found = part
      .split('/')
      .reduce<unknown>((at, name) => (at as Record<string, unknown>)?.[name], document)
    expect({ part, found }).toEqual({ part, found: expect.any(Object) })
  }
  const question = document.paths['/v1/ask']!.post!.requestBody!.content['application/json']!.schema
  expect(question).toMatchObject({ properties: { filter: { $ref: '#/components/schemas/Filter' } } })
  expect(JSON.stringify(document.components.schemas.Filter)).toContain('"filters"')
})
