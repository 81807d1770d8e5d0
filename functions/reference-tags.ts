/** Sections of the reference, in its order: each function of the table, and what is always there. */
export const TAGS: Record<string, string> = {
  'cache-complete':
    'Completions in OpenAI’s and Anthropic’s shapes, through a cache that knows exact and similar requests, with limits, budgets and fallback.',
  embed: 'Embeddings in OpenAI’s shape, cached.',
  search: 'Indexes of documents: write, search by vector, words or both, and filter.',
  ask: 'Answers from the documents of an index, each statement with its quote.',
  'agent-step':
    'Agents that work in steps which are never lost or done twice: their journal, memory, messages, tasks and shared knowledge.',
  'ingest-event':
    'Streams of events and who works on them, webhooks, alerts, schedules and work queues; with what could not be done, to be replayed.',
  infer: 'Models by the Open Inference Protocol v2, and pipelines around them.',
  features: 'Features of entities for models, and datasets of what models were asked and what was right.',
  prompts: 'Prompts with versions and labels.',
  usage: 'Requests, tokens and money, and the log of requests.',
  keys: 'Hub keys and tenants, with their limits and budgets. For admins.',
  'model-routes': 'Names that lead to models, and credentials of providers. For admins.',
  sessions: 'Sessions and preferences of an application’s users.',
  platform: 'Locks, services, configuration, breakers, and the log of what admins did.',
  gateway: 'An HTTP gateway to other services, and answers to other gateways’ questions.',
  realtime: 'Channels of messages for browsers and services.',
  face: 'What people and tools look at: pages, metrics, the overview, and MCP.',
  health: 'Whether the hub lives and can serve; always there, without a key.',
}
