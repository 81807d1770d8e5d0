import { z } from 'zod'
import { FilterSchema } from '../filter-schema.ts'

/** What of OpenAI's content parts a chat completion can carry. */
const Part = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('input_text'), text: z.string() }),
    z.object({
      type: z.literal('input_image'),
      image_url: z.string('must be a URL or a data URL: the hub keeps no files'),
      detail: z.string().nullish(),
    }),
    z
      .object({
        type: z.literal('input_file'),
        file_data: z.string().nullish(),
        filename: z.string().nullish(),
        file_id: z.string().nullish().describe('of the provider that answers'),
      })
      .refine(({ file_data, file_id }) => file_data || file_id, {
        path: ['file_data'],
        error: 'is missing, and there is no `file_id`; `file_url` is not read',
      }),
    z.object({
      type: z.literal('input_audio'),
      input_audio: z.object({ data: z.string(), format: z.string() }),
    }),
    z.object({
      type: z.literal('output_text'),
      text: z.string(),
      annotations: z.array(z.unknown()).optional(),
    }),
    z.object({ type: z.literal('refusal'), refusal: z.string() }),
  ],
  {
    error:
      'is none of input_text, input_image, input_file, input_audio, output_text, refusal: the hub takes no other parts',
  },
)
export type Part = z.infer<typeof Part>

const id = z.string().min(1).max(200)

const FileSearchCall = z.object({
  type: z.literal('file_search_call'),
  queries: z.array(z.string()),
  results: z.array(z.unknown()).nullish(),
  id: id.nullish(),
  status: z.string().nullish(),
})
export type FileSearchCall = z.infer<typeof FileSearchCall>

/** A conversation's items that the hub keeps. */
const KeptItem = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('message'),
    role: z.enum(['user', 'assistant', 'system', 'developer']),
    content: z.array(Part),
    id: id.nullish(),
    status: z.string().nullish(),
  }),
  z.object({
    type: z.literal('function_call'),
    call_id: id,
    name: z.string().min(1),
    arguments: z.string(),
    id: id.nullish(),
    status: z.string().nullish(),
  }),
  z.object({
    type: z.literal('function_call_output'),
    call_id: id,
    output: z.union([z.string(), z.array(z.object({ type: z.literal('input_text'), text: z.string() }))]),
    id: id.nullish(),
    status: z.string().nullish(),
  }),
  FileSearchCall,
])
export type KeptItem = z.infer<typeof KeptItem>

const InputItem = z.discriminatedUnion(
  'type',
  [
    ...KeptItem.options,
    z.object({ type: z.literal('item_reference'), id }).describe('an item of a stored response'),
    z
      .looseObject({ type: z.literal('reasoning') })
      .describe('left out: chat completions do not take it back'),
  ],
  {
    error:
      'is none of message, function_call, function_call_output, file_search_call, item_reference, reasoning: the hub takes no other items',
  },
)
export type InputItem = z.infer<typeof InputItem>

/** Short forms written out: a bare `{role, content}`, content that is one text, an id alone. */
function spelledOut(item: unknown): unknown {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return item
  const { type, role, content, id } = item as Record<string, unknown>
  if (!type && role === undefined) return id === undefined ? item : { ...item, type: 'item_reference' }
  if (type && type !== 'message') return item
  const part = { type: role === 'assistant' ? 'output_text' : 'input_text', text: content }
  return { ...item, type: 'message', content: typeof content === 'string' ? [part] : content }
}

const Input = z.preprocess(
  (input) => (typeof input === 'string' ? [{ role: 'user', content: input }] : input),
  z.array(z.preprocess(spelledOut, InputItem)).max(2_000),
)

const FunctionTool = z.object({
  type: z.literal('function'),
  name: z.string().min(1).max(128),
  description: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
})
export type FunctionTool = z.infer<typeof FunctionTool>

const FileSearchTool = z
  .object({
    type: z.literal('file_search'),
    vector_store_ids: z
      .array(z.string().min(1).max(64))
      .length(1)
      .describe('an index of the hub, or its alias'),
    filters: FilterSchema.nullish(),
    max_num_results: z.int().min(1).max(50).nullish(),
    ranking_options: z
      .looseObject({
        ranker: z.string().nullish().describe('`none` searches by vector alone'),
        score_threshold: z.number().min(0).max(1).optional(),
      })
      .nullish(),
  })
  .describe('searched once a turn, with what the user said last; the key needs the scope `search` too')
export type FileSearchTool = z.infer<typeof FileSearchTool>

const Tool = z.discriminatedUnion('type', [FunctionTool, FileSearchTool], {
  error: 'the hub runs no built-in tool but file_search: give `function` tools, whose calls you answer',
})

const NamedTool = z.object({ type: z.literal('function'), name: z.string() })
const ToolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    NamedTool,
    z.object({ type: z.literal('file_search') }),
    z.object({
      type: z.literal('allowed_tools'),
      mode: z.enum(['auto', 'required']),
      tools: z.array(NamedTool).min(1),
    }),
  ],
  { error: 'must be none, auto, required, a function, file_search, or allowed_tools that are functions' },
)

const Format = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({
    type: z.literal('json_schema'),
    name: z.string().min(1).max(64),
    schema: z.record(z.string(), z.unknown()),
    description: z.string().nullish(),
    strict: z.boolean().nullish(),
  }),
])

const Prompt = z
  .object({
    id: z.string().min(1).max(64),
    version: z
      .union([z.int().min(1), z.string().min(1).max(64)])
      .nullish()
      .describe('a number, or a label'),
    variables: z.record(z.string(), z.unknown()).nullish(),
  })
  .describe('a stored prompt, whose messages go before `input`')

/** OpenAI's request; fields that are not named here travel on to the provider. */
export const ResponseRequest = z
  .looseObject({
    model: z.string().min(1).max(300),
    input: Input.optional().describe('a text, or items'),
    instructions: z.string().nullish().describe('of this response alone, not of those that go on from it'),
    previous_response_id: id.nullish(),
    prompt: Prompt.nullish(),
    store: z.boolean().nullish().describe('kept for 30 days, to be continued; true by default'),
    stream: z.boolean().nullish(),
    tools: z
      .array(Tool)
      .max(512)
      .refine(
        (tools) => tools.filter(({ type }) => type === 'file_search').length < 2,
        'only one file_search',
      )
      .nullish(),
    tool_choice: ToolChoice.nullish(),
    parallel_tool_calls: z.boolean().nullish(),
    text: z.looseObject({ format: Format.nullish(), verbosity: z.string().nullish() }).nullish(),
    reasoning: z.looseObject({ effort: z.string().nullish() }).nullish(),
    max_output_tokens: z.int().min(1).nullish(),
    temperature: z.number().min(0).max(2).nullish(),
    top_p: z.number().min(0).max(1).nullish(),
    top_logprobs: z.int().min(0).max(20).nullish(),
    metadata: z.record(z.string().max(64), z.string().max(512)).nullish(),
    truncation: z
      .enum(['auto', 'disabled'])
      .nullish()
      .describe('accepted; nothing is cut: a conversation too long for its model is the provider’s 400'),
    include: z
      .array(z.string())
      .nullish()
      .describe('`message.output_text.logprobs`, `file_search_call.results`; others name what is not here'),
    user: z.string().nullish(),
    background: z
      .literal(false, { error: 'is not supported: stream the response, or send the work to a queue' })
      .nullish(),
    conversation: z.null({ error: 'is not supported: continue with `previous_response_id`' }).optional(),
    max_tool_calls: z.int().nullish().describe('accepted; files are searched once'),
    stream_options: z.looseObject({}).nullish(),
  })
  .refine(({ input, prompt, previous_response_id: previous }) => input || prompt || previous, {
    path: ['input'],
    error: 'is missing, and there is neither `prompt` nor `previous_response_id`',
  })
export type ResponseRequest = z.infer<typeof ResponseRequest>
