import { z } from 'zod'

const Content = z
  .union([z.string(), z.array(z.looseObject({ type: z.string() }))], {
    error: 'must be a text or a list of blocks',
  })
  .describe('a text, or blocks: text, image, document, search_result, tool_use, tool_result')

/** Anthropic's request without `max_tokens`, which counting does not need; what is not named here is not passed on. */
export const CountRequest = z.object({
  model: z.string().min(1).max(300).describe('`provider/model`, an alias, or a bare name'),
  system: Content.nullish(),
  messages: z.array(z.object({ role: z.enum(['user', 'assistant', 'system']), content: Content })).min(1),
  tools: z
    .array(
      z.object({
        type: z.string().nullish().describe('`custom`: tools that run at Anthropic are refused'),
        name: z.string().optional(),
        description: z.string().nullish(),
        input_schema: z.looseObject({}).optional(),
        strict: z.boolean().nullish(),
      }),
    )
    .nullish(),
  tool_choice: z
    .object({
      type: z.enum(['auto', 'any', 'tool', 'none']),
      name: z.string().optional(),
      disable_parallel_tool_use: z.boolean().nullish(),
    })
    .nullish(),
  output_config: z
    .object({
      effort: z.string().nullish(),
      format: z.object({ type: z.literal('json_schema'), schema: z.looseObject({}) }).nullish(),
    })
    .nullish(),
  mcp_servers: z.array(z.unknown()).nullish().describe('refused'),
  container: z.unknown().optional().describe('refused'),
})

export const MessagesRequest = CountRequest.extend({
  max_tokens: z.int().min(1),
  stream: z.boolean().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z.int().min(1).nullish().describe('passed on: a provider may refuse it'),
  stop_sequences: z.array(z.string()).nullish(),
  metadata: z.object({ user_id: z.string().nullish() }).nullish(),
})

export const Message = z.object({
  id: z.string(),
  type: z.literal('message'),
  role: z.literal('assistant'),
  model: z.string(),
  content: z.array(z.looseObject({ type: z.enum(['text', 'tool_use']) })),
  stop_reason: z.enum(['end_turn', 'max_tokens', 'stop_sequence', 'tool_use', 'refusal']).nullable(),
  stop_sequence: z.string().nullable(),
  stop_details: z
    .object({ type: z.literal('refusal'), category: z.null(), explanation: z.string().nullable() })
    .nullable(),
  usage: z.object({
    input_tokens: z.number(),
    output_tokens: z.number(),
    cache_creation_input_tokens: z.number(),
    cache_read_input_tokens: z.number(),
  }),
})
