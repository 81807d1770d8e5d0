import { z } from 'zod'

/** A tool that MCP clients see: a route of this hub, in words for a model. */
export interface McpTool {
  name: string
  title: string
  description: string
  /** The function that serves it: a key without this scope does not see the tool. */
  scope: string
  /** Arguments with a name of the path go there; the rest is the body, or of a GET the query. */
  route: `${'GET' | 'POST' | 'PUT'} /${string}`
  input: z.ZodObject
  output: z.ZodObject
  annotations: { readOnlyHint: boolean; idempotentHint?: boolean; destructiveHint?: boolean }
  /** Where the body is not just the other arguments. */
  toBody?(rest: Record<string, unknown>): { body: object; query?: Record<string, unknown>; type?: string }
}

const READS = { readOnlyHint: true, idempotentHint: true }
const ADDS = { readOnlyHint: false, destructiveHint: false, idempotentHint: true }

const Name = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
const Index = Name.describe('Name of the index, as list_indexes gives it.')
const Filter = z
  .record(z.string(), z.unknown())
  .describe(
    'Only documents whose metadata passes: {"type":"eq","key":"lang","value":"en"}; also ne, gt, gte, lt, lte, in, nin; {"type":"and","filters":[…]} and {"type":"or",…} join filters.',
  )
const Agent = Name.describe(
  'Whose memory: a stable name, such as "claude" or "support-bot". It is made at its first memory.',
)
const Topic = Name.describe('Name of the topic, such as "prices" or "project-x".')
const Stream = Name.describe('Name of the event stream, such as "orders".')
const Facts = z.looseObject({
  topic: z.string(),
  facts: z
    .record(
      z.string(),
      z.looseObject({ value: z.unknown(), version: z.int(), by: z.string(), at: z.string() }),
    )
    .describe('By field: its value, its version, who wrote it and when.'),
})
const Memory = z.looseObject({
  id: z.string(),
  text: z.string(),
  created_at: z.string(),
  score: z.number().optional().describe('Similarity to the query; 1 is the same.'),
})

export const mcpTools: readonly McpTool[] = [
  {
    name: 'list_indexes',
    title: 'List document indexes',
    description:
      'Lists the document indexes that can be searched, with the metadata fields that a filter may name.',
    ...{ scope: 'search', route: 'GET /v1/indexes', annotations: READS },
    input: z.strictObject({}),
    output: z.looseObject({
      data: z.array(z.looseObject({ name: z.string(), fields: z.record(z.string(), z.string()) })),
    }),
  },
  {
    name: 'search',
    title: 'Search documents',
    description:
      'Finds the passages of an index that fit a query best, by meaning and by words. Use it to look something up yourself; use ask for an answer with citations.',
    ...{ scope: 'search', route: 'POST /v1/indexes/:index/search', annotations: READS },
    input: z.strictObject({
      index: Index,
      query: z.string().min(1).max(10_000).describe('A question or key words.'),
      top_k: z.int().min(1).max(100).optional().describe('How many passages; 10 by default.'),
      mode: z
        .enum(['hybrid', 'vector', 'text'])
        .optional()
        .describe('By meaning, by words, or both (default).'),
      filter: Filter.optional(),
    }),
    output: z.looseObject({
      results: z
        .array(
          z.looseObject({
            document_id: z.string(),
            chunk: z.int().describe('Number of the passage in its document.'),
            text: z.string(),
            score: z.number(),
            metadata: z.record(z.string(), z.unknown()),
          }),
        )
        .describe('The best first.'),
    }),
  },
  {
    name: 'read_document',
    title: 'Read a document',
    description: 'Reads the whole text of a document, for instance one that search found a passage of.',
    ...{ scope: 'search', route: 'GET /v1/indexes/:index/documents/:id', annotations: READS },
    input: z.strictObject({ index: Index, id: z.string().min(1).max(512).describe('The document_id.') }),
    output: z.looseObject({ id: z.string(), text: z.string() }),
  },
  {
    name: 'ask',
    title: 'Ask the documents',
    description:
      'Answers a question from the documents of an index, with a citation for each statement. `found` is false where the documents hold no answer: say so then, and do not make one up.',
    ...{ scope: 'ask', route: 'POST /v1/ask', annotations: READS },
    input: z.strictObject({
      index: Index,
      question: z.string().min(1).max(10_000),
      filter: Filter.optional(),
      top_k: z.int().min(1).max(50).optional().describe('Passages to look at; 10 by default.'),
      model: z
        .string()
        .min(1)
        .max(300)
        .optional()
        .describe('`provider/model`; the hub’s own choice by default.'),
    }),
    output: z.looseObject({
      answer: z.string().describe('Statements are marked with their source: [1].'),
      citations: z.array(
        z.looseObject({
          document_id: z.string(),
          quote: z.string().describe('Word for word in the document.'),
          source: z.int(),
        }),
      ),
      found: z.boolean(),
      model: z.string(),
    }),
  },
  {
    name: 'remember',
    title: 'Remember something for good',
    description:
      'Keeps a fact in an agent’s long memory, across conversations. One fact a call, in a sentence that is understood without its context. What is known already is not kept twice. Never keep passwords or keys.',
    ...{ scope: 'agent-step', route: 'POST /v1/agents/:agent/memory', annotations: ADDS },
    input: z.strictObject({
      agent: Agent,
      text: z.string().min(1).max(2_000).describe('The fact, such as "Ann prefers metric units."'),
      valid_until: z.string().optional().describe('A date or RFC 3339 time after which it is not true.'),
      metadata: z.record(z.string(), z.unknown()).optional().describe('What recall may filter by.'),
    }),
    output: z.looseObject({
      status: z.enum(['stored', 'duplicate']),
      id: z.string().optional().describe('Of the memory, or of the one that says the same.'),
    }),
  },
  {
    name: 'recall',
    title: 'Recall memories',
    description:
      'Finds what an agent was told to remember, by meaning; without a query the latest first. Call it before you answer what earlier conversations may bear on.',
    ...{ scope: 'agent-step', route: 'GET /v1/agents/:agent/memory', annotations: READS },
    input: z.strictObject({
      agent: Agent,
      query: z.string().min(1).max(2_000).optional().describe('What to recall.'),
      top_k: z.int().min(1).max(100).optional().describe('How many; 10 by default. Goes with a query.'),
      min_score: z.number().min(-1).max(1).optional().describe('Least similarity. Goes with a query.'),
    }),
    output: z.looseObject({ data: z.array(Memory) }),
  },
  {
    name: 'list_topics',
    title: 'List topics of shared knowledge',
    description: 'Lists the topics of which agents share facts, by name.',
    ...{ scope: 'agent-step', route: 'GET /v1/knowledge', annotations: READS },
    input: z.strictObject({
      limit: z.int().min(1).max(1_000).optional().describe('100 by default.'),
      after: z.string().max(64).optional().describe('The last topic of the page before.'),
    }),
    output: z.looseObject({
      data: z.array(z.looseObject({ topic: z.string(), fields: z.int() })),
      has_more: z.boolean(),
    }),
  },
  {
    name: 'read_knowledge',
    title: 'Read shared facts',
    description: 'Reads the facts that all agents share on a topic, each with its version.',
    ...{ scope: 'agent-step', route: 'GET /v1/knowledge/:topic', annotations: READS },
    input: z.strictObject({
      topic: Topic,
      field: z.array(z.string()).max(100).optional().describe('Only these facts; all by default.'),
    }),
    output: Facts,
  },
  {
    name: 'write_knowledge',
    title: 'Write shared facts',
    description:
      'Writes facts on a topic for all agents; other facts of the topic stay, null removes one. All of them are written or none. To change what another may change too, give the versions that you read: the call fails where there is a newer one.',
    scope: 'agent-step',
    route: 'PUT /v1/knowledge/:topic',
    annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true },
    input: z.strictObject({
      topic: Topic,
      facts: z
        .record(z.string(), z.unknown())
        .describe('By field, any JSON: {"price": 12, "currency": "EUR"}.'),
      if_versions: z
        .record(z.string(), z.int().min(0))
        .optional()
        .describe('By field: write only where it has this version; 0: where it is not there.'),
    }),
    output: Facts,
    toBody: ({ facts, if_versions = {} }) => ({
      body: facts as object,
      query: Object.fromEntries(
        Object.entries(if_versions as object).map(([field, version]) => [`if_versions[${field}]`, version]),
      ),
    }),
  },
  {
    name: 'list_models',
    title: 'List inference models',
    description: 'Lists the machine-learning models that infer can run, with their versions and labels.',
    ...{ scope: 'infer', route: 'GET /v2/models', annotations: READS },
    input: z.strictObject({}),
    output: z.looseObject({
      data: z.array(z.looseObject({ name: z.string(), versions: z.array(z.string()) })),
    }),
  },
  {
    name: 'describe_model',
    title: 'Describe an inference model',
    description: 'Says which inputs a model takes and which outputs it gives: names, datatypes and shapes.',
    ...{ scope: 'infer', route: 'GET /v2/models/:model', annotations: READS },
    input: z.strictObject({ model: z.string().min(1).max(64).describe('A name of list_models.') }),
    output: z.looseObject({
      name: z.string(),
      inputs: z.array(z.looseObject({ name: z.string(), datatype: z.string(), shape: z.array(z.int()) })),
      outputs: z.array(z.looseObject({ name: z.string(), datatype: z.string(), shape: z.array(z.int()) })),
    }),
  },
  {
    name: 'infer',
    title: 'Run an inference model',
    description:
      'Runs a machine-learning model on numbers (Open Inference Protocol v2). Ask describe_model first what it takes.',
    ...{ scope: 'infer', route: 'POST /v2/models/:model/infer', annotations: READS },
    input: z.strictObject({
      model: z.string().min(1).max(64).describe('A name of list_models.'),
      inputs: z
        .array(
          z.strictObject({
            name: z.string(),
            datatype: z.string().describe('As FP32, FP64, INT32, INT64 or BOOL.'),
            shape: z.array(z.int().min(0)).describe('As [rows, columns].'),
            data: z.array(z.unknown()).describe('Numbers, flat or nested as the shape says.'),
          }),
        )
        .min(1),
    }),
    output: z.looseObject({
      model_name: z.string(),
      model_version: z.string(),
      outputs: z.array(z.looseObject({ name: z.string(), datatype: z.string(), shape: z.array(z.int()) })),
    }),
  },
  {
    name: 'publish_event',
    title: 'Publish an event',
    description:
      'Sends an event to a stream, where what works on it picks it up. With the same id it is sent once, however often the call is repeated. event_result tells what came of it.',
    scope: 'ingest-event',
    route: 'POST /v1/events/:stream',
    annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false },
    input: z.strictObject({
      stream: Stream,
      type: z.string().min(1).max(200).describe('What happened, such as "order.created".'),
      data: z.unknown().describe('Any JSON.'),
      subject: z.string().max(1_000).optional().describe('What it is about, such as a customer’s number.'),
      id: z.string().min(1).max(200).optional().describe('Yours; a random one by default.'),
    }),
    output: z.looseObject({
      accepted: z.int(),
      duplicates: z.int().describe('Seen before: not stored again.'),
      events: z.array(z.looseObject({ id: z.string(), result_id: z.string() })).optional(),
    }),
    toBody: ({ id = crypto.randomUUID(), ...event }) => ({
      type: 'application/cloudevents+json',
      body: { specversion: '1.0', source: 'mcp', id, ...event },
    }),
  },
  {
    name: 'read_events',
    title: 'Read the latest events',
    description: 'Reads the latest events of a stream, the newest first.',
    ...{ scope: 'ingest-event', route: 'GET /v1/events/:stream/latest', annotations: READS },
    input: z.strictObject({
      stream: Stream,
      limit: z.int().min(1).max(100).optional().describe('How many; 10 by default.'),
    }),
    output: z.looseObject({
      data: z.array(z.looseObject({ result_id: z.string(), event: z.record(z.string(), z.unknown()) })),
    }),
  },
  {
    name: 'stream_stats',
    title: 'Count a stream’s events',
    description:
      'Says how many events a stream holds, how many wait to be worked on, and how many failed for good.',
    ...{ scope: 'ingest-event', route: 'GET /v1/events/:stream/stats', annotations: READS },
    input: z.strictObject({ stream: Stream }),
    output: z.looseObject({
      length: z.int(),
      groups: z
        .array(z.looseObject({ name: z.string(), lag: z.int().nullable(), pending: z.int() }))
        .describe('Who works on it: `lag` events are not read yet, `pending` are in work.'),
      dead: z.int(),
    }),
  },
  {
    name: 'event_result',
    title: 'Read an event’s result',
    description: 'Reads what came of an event, and waits for it where wait_seconds says so.',
    ...{ scope: 'ingest-event', route: 'GET /v1/results/:id', annotations: READS },
    input: z.strictObject({
      id: z.string().min(1).max(300).describe('The result_id of publish_event or read_events.'),
      wait_seconds: z.number().min(0).max(30).optional().describe('How long to wait for it; 0 by default.'),
    }),
    output: z.looseObject({
      status: z.enum(['done', 'failed']),
      result: z.unknown().optional(),
      error: z.looseObject({ message: z.string() }).optional(),
    }),
  },
]
