import type { Hono } from 'hono'
import { generateSpecs, resolver } from 'hono-openapi'
import { z } from 'zod'
import type { App } from './deps.ts'
import { addExamples, type Operation } from './reference-examples.ts'
import { describeParameter } from './reference-parameters.ts'
import { TAGS } from './reference-tags.ts'

const Failure = z.object({
  error: z.object({
    message: z.string().describe('what is wrong, and the way out'),
    type: z.string(),
    code: z.string(),
    param: z.string().nullable().describe('path of the field that is wrong, such as `messages[0].role`'),
  }),
})

const DESCRIPTION = `The AI back end next to your Redis.

Every example works as it is shown: by the models inside the hub, without a provider’s key. In a shell, set
\`HUB_URL=http://127.0.0.1:8787\`, and \`HUB_KEY\` to a hub key; a hub without \`HUB_ADMIN_KEY\` takes any.`

const KEY =
  'A hub key, or the admin key. The admin key may act for any tenant: `x-hub-act-for: <tenant>`; what it changes is in that tenant’s audit log.'

/** The OpenAPI document of an app. `tagOf` names the function that a route, such as \`GET /v1/usage\`, belongs to. */
export async function describeApp(app: Hono<App>, version: string, tagOf: (route: string) => string) {
  const document = await generateSpecs(app, {
    documentation: {
      openapi: '3.1.0',
      info: {
        title: 'redis-ai-hub',
        description: DESCRIPTION,
        version,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer', description: KEY } } },
      security: [{ key: [] }],
    },
  })
  const { schema } = await resolver(Failure).toOpenAPISchema()
  const content = { 'application/json': { schema } }
  document.components = {
    ...document.components,
    responses: { Failure: { description: 'OpenAI’s envelope, on every route', content } },
  }
  const operations = new Map<string, Operation>()
  const tags = new Set<string>()
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods ?? {})) {
      if (typeof operation !== 'object' || !('responses' in operation)) continue
      const { responses = {} } = operation
      // hono-openapi's own validators are not the ones that answer here.
      const invalid = responses[400]
      if (invalid && 'description' in invalid && invalid.description === 'Validation Error')
        delete responses[400]
      operation.responses = { default: { $ref: '#/components/responses/Failure' }, ...responses }
      for (const one of operation.parameters ?? []) {
        if ('in' in one) one.description ??= describeParameter(path, one)
      }
      const route = `${method.toUpperCase()} ${path}`
      const tag = tagOf(route)
      operation.tags = [tag]
      tags.add(tag)
      operations.set(route, operation as Operation)
    }
  }
  document.tags = Object.entries(TAGS)
    .filter(([name]) => tags.has(name))
    .map(([name, description]) => ({ name, description }))
  addExamples(operations)
  return withoutBounds(document) as typeof document
}

/** The bounds of what JavaScript counts exactly say nothing, and a reader would make them up as examples. */
function withoutBounds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutBounds)
  if (typeof value !== 'object' || value === null) return value
  const parts = Object.entries(value).filter(
    ([name, part]) => !/^m(in|ax)imum$/.test(name) || Math.abs(Number(part)) !== Number.MAX_SAFE_INTEGER,
  )
  return Object.fromEntries(parts.map(([name, part]) => [name, withoutBounds(part)]))
}
