import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { readCacheDirectives } from '../shared/completions/cache-directives.ts'
import { renderJson, renderStream } from './completion-reply.ts'
import type { App, Deps } from './deps.ts'
import { admitted, anyKeyHeader, claimed, json, replies } from './http.ts'
import { messages } from './messages.ts'
import { responses } from './responses.ts'

const PromptReference = z
  .strictObject({
    id: z.string().min(1).max(64),
    version: z.int().min(1).optional(),
    label: z.string().min(1).max(64).optional(),
    variables: z.record(z.string(), z.unknown()).optional(),
  })
  .describe('a stored prompt, whose messages go before `messages`')

/** OpenAI's request; fields that are not named here travel on to the provider. */
const fields = {
  model: z.string().min(1).max(300),
  messages: z
    .array(
      z.looseObject({
        role: z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
        content: z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]).nullish(),
      }),
    )
    .min(1)
    .optional(),
  prompt: PromptReference.nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().optional() }).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  n: z.int().min(1).max(128).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  seed: z.int().nullish(),
  tools: z.array(z.looseObject({ type: z.string() })).nullish(),
  tool_choice: z.union([z.string(), z.looseObject({})]).nullish(),
  response_format: z.looseObject({ type: z.string() }).nullish(),
  user: z.string().nullish(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
}

const CompletionRequest = z.looseObject(fields).refine(({ messages, prompt }) => messages || prompt, {
  path: ['messages'],
  error: 'is missing, and there is no `prompt`',
})

const Completion = z.looseObject({
  id: z.string(),
  object: z.literal('chat.completion'),
  choices: z.array(z.looseObject({})),
})
const Model = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.number(),
  owned_by: z.string(),
  type: z.literal('model'),
  display_name: z.string(),
  created_at: z.string(),
  price: z
    .looseObject({ input: z.number(), cached: z.number(), output: z.number() })
    .optional()
    .describe('USD per million tokens, where it is known'),
})
/** OpenAI's list and Anthropic's page in one. */
const ModelList = z.object({
  object: z.literal('list'),
  data: z.array(Model),
  has_more: z.literal(false),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
})
const Stats = z.object({
  hits: z.number(),
  misses: z.number(),
  collapsed: z.number(),
  bypassed: z.number(),
  hit_rate: z.number(),
  saved_tokens: z.number(),
})

/** LLM completions through the cache, in OpenAI's shape. */
export function cacheComplete(
  deps: Pick<
    Deps,
    'complete' | 'hashOf' | 'completionCache' | 'modelRouter' | 'admission' | 'responses' | 'clock'
  >,
) {
  const { complete, hashOf, completionCache, modelRouter, admission } = deps
  const member = admitted(admission, 'cache-complete')
  return new Hono<App>()
    .route('/', responses(deps))
    .route('/', messages(deps))
    .post(
      '/v1/chat/completions',
      describeRoute({
        summary: 'Complete a chat, from the cache where it can be',
        responses: replies(200, 'The completion, or SSE', Completion),
      }),
      claimed(admission),
      json(CompletionRequest, { remember: true }),
      async (c) => {
        const request = c.req.valid('json')
        const directives = readCacheDirectives((name) => c.req.header(name))
        const call = { claim: c.get('claim'), request, directives, requestId: c.get('requestId') }
        const completed = await complete({ ...call, defer: c.env.defer, endpoint: 'chat.completions' })
        return request.stream ? renderStream(c, completed, request) : renderJson(c, completed)
      },
    )
    .get(
      '/v1/models',
      describeRoute({
        summary: 'Models that can be called',
        responses: replies(200, 'The models', ModelList),
      }),
      admitted(admission, 'cache-complete', anyKeyHeader),
      async (c) => {
        const { tenant, models } = c.var.caller
        const data = (await modelRouter.models(tenant)).filter(({ id }) => !models || models.includes(id))
        return c.json({
          object: 'list',
          data: data.map(({ id, provider, price }) => ({
            id,
            object: 'model',
            created: 0,
            owned_by: provider,
            price,
            ...{ type: 'model', display_name: id, created_at: '1970-01-01T00:00:00Z' },
          })),
          ...{ has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null },
        })
      },
    )
    .get(
      '/v1/cache/stats',
      describeRoute({
        summary: 'What the cache did for this tenant',
        responses: replies(200, 'Counters', Stats),
      }),
      member,
      async (c) => c.json(await completionCache.stats(c.var.caller.tenant)),
    )
    .post(
      '/v1/cache/purge',
      describeRoute({
        summary: 'Remove stored answers: of one request, or all of this tenant',
        responses: replies(200, 'How many', z.object({ purged: z.number() })),
      }),
      member,
      json(z.strictObject({ request: CompletionRequest.optional() })),
      async (c) => {
        const { tenant } = c.var.caller
        const { request } = c.req.valid('json')
        const purged = request
          ? await completionCache.purgeOne(tenant, await hashOf(tenant, request))
          : await completionCache.purgeAll(tenant)
        return c.json({ purged })
      },
    )
}
