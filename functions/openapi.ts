import type { Hono } from 'hono'
import { generateSpecs, resolver } from 'hono-openapi'
import { z } from 'zod'
import type { App } from './deps.ts'

const Failure = z.object({
  error: z.object({
    message: z.string().describe('what is wrong, and the way out'),
    type: z.string(),
    code: z.string(),
    param: z.string().nullable().describe('path of the field that is wrong, such as `messages[0].role`'),
  }),
})

/** The OpenAPI document of an app. */
export async function describeApp(app: Hono<App>, version: string) {
  const document = await generateSpecs(app, {
    documentation: {
      openapi: '3.1.0',
      info: {
        title: 'redis-ai-hub',
        description: 'The AI back end next to your Redis.',
        version,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
      security: [{ key: [] }],
    },
  })
  const { schema } = await resolver(Failure).toOpenAPISchema()
  const content = { 'application/json': { schema } }
  document.components = {
    ...document.components,
    responses: { Failure: { description: 'OpenAI’s envelope, on every route', content } },
  }
  for (const operations of Object.values(document.paths)) {
    for (const operation of Object.values(operations ?? {})) {
      if (typeof operation !== 'object' || !('responses' in operation)) continue
      const { responses = {} } = operation
      // hono-openapi's own validators are not the ones that answer here.
      const invalid = responses[400]
      if (invalid && 'description' in invalid && invalid.description === 'Validation Error')
        delete responses[400]
      operation.responses = { default: { $ref: '#/components/responses/Failure' }, ...responses }
    }
  }
  return document
}
