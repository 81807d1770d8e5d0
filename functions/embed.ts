import { Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { readCacheDirectives } from '../shared/completions/cache-directives.ts'
import { HubError } from '../shared/errors.ts'
import { toBase64 } from '../shared/text/float32.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, query, replies } from './http.ts'

const MOST = 2048

const Tokens = z.array(z.int().min(0)).max(MOST * 16)

/** OpenAI's request. */
const EmbeddingRequest = z.object({
  model: z.string().min(1).max(300).describe('`provider/model`, or `local`, the embedded one'),
  input: z
    .union([z.string(), z.array(z.string()), Tokens, z.array(Tokens)], {
      error: 'must be a text, a list of texts, or tokens of one or of several',
    })
    .describe(`a text, or up to ${MOST}; tokens in place of texts where the provider takes them`),
  dimensions: z.int().min(1).max(65_536).nullish().describe('shorter vectors, where the model can make them'),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  user: z.string().nullish(),
})

const EmbeddingReply = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      object: z.literal('embedding'),
      index: z.number(),
      embedding: z.union([z.array(z.number()), z.string()]),
    }),
  ),
  model: z.string(),
  usage: z.object({ prompt_tokens: z.number(), total_tokens: z.number() }),
})

/** Of Hugging Face's Text Embeddings Inference; the vectors are what the model makes, whatever else is asked. */
const Inputs = z.object({
  inputs: z.union([z.string(), z.array(z.string()).min(1).max(MOST)]),
  dimensions: z.int().min(1).max(65_536).nullish(),
})
const InputsQuery = z.object({
  model: z
    .string()
    .min(1)
    .max(300)
    .optional()
    .describe('the hub’s default embedding model where none is named'),
})

/** Embeddings in OpenAI's shape, through the cache. `usage` counts what was paid for: cached texts cost nothing. */
export function embed({ embeddings, admission }: Pick<Deps, 'embeddings' | 'admission'>) {
  return new Hono<App>().route('/', textEmbeddings({ embeddings, admission })).post(
    '/v1/embeddings',
    describeRoute({
      summary: 'Embed texts, from the cache where they are in it',
      responses: replies(200, 'One embedding a text, in order', EmbeddingReply),
    }),
    admitted(admission, 'embed'),
    json(EmbeddingRequest),
    async (c) => {
      const { model, input, dimensions, encoding_format } = c.req.valid('json')
      const { read, write } = readCacheDirectives((name) => c.req.header(name))
      const made = await embeddings.embed({
        ...{ caller: c.var.caller, model, texts: toInputs(input), cache: { read, write } },
        dimensions: dimensions ?? undefined,
        signal: c.req.raw.signal,
        defer: c.env.defer,
      })
      c.header('Cache-Status', `redis-ai-hub; ${made.cache === 'hit' ? 'hit' : `fwd=${made.cache}`}`)
      return c.json({
        object: 'list',
        data: made.vectors.map((vector, index) => ({
          object: 'embedding',
          index,
          embedding: encoding_format === 'base64' ? toBase64(vector) : Array.from(vector),
        })),
        model: made.model,
        usage: { prompt_tokens: made.tokens, total_tokens: made.tokens },
      })
    },
  )
}

/** Clients of that server have its address and no model: the address may name one. */
function textEmbeddings({ embeddings, admission }: Pick<Deps, 'embeddings' | 'admission'>) {
  return new Hono<App>().post(
    '/embed',
    describeRoute({
      summary: 'Embed texts in the shape of Hugging Face’s Text Embeddings Inference',
      responses: replies(200, 'One embedding a text, in order', z.array(z.array(z.number()))),
    }),
    admitted(admission, 'embed'),
    query(InputsQuery),
    json(Inputs),
    async (c) => {
      const { inputs, dimensions } = c.req.valid('json')
      const { provider, model } = embeddings.resolve(c.req.valid('query').model)
      const { vectors } = await embeddings.embed({
        ...{ caller: c.var.caller, model: `${provider}/${model}`, texts: [inputs].flat() },
        ...{ dimensions: dimensions ?? undefined, signal: c.req.raw.signal, defer: c.env.defer },
      })
      return c.json(vectors.map((vector) => Array.from(vector)))
    },
  )
}

function toInputs(input: z.output<typeof EmbeddingRequest>['input']): (string | number[])[] {
  if (typeof input === 'string') return [input]
  if (typeof input[0] === 'number') return [input as number[]]
  if (input.length <= MOST) return input as string[] | number[][]
  const message = `input: there are ${input.length}, and one call takes ${MOST}. Send them in several.`
  throw new HubError({ code: 'invalid_value', status: 400, message, param: 'input' })
}
