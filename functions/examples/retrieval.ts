import { FromReply, type Story } from './example.ts'

const index = 'handbook'
const id = 'returns'
const RETURNS = 'Goods may be returned within 30 days. A refund is paid within a week.'

const response = new FromReply('POST /v1/responses', '$response.body#/id', 'RESPONSE_ID')
const message = {
  model: 'local/local',
  messages: [{ role: 'user', content: 'Goods may be returned within 30 days.' }],
}

/** Completions, embeddings, indexes and answers, by the embedded models: no provider’s key is needed. */
export const retrievalStory: Story = {
  'POST /v1/chat/completions': {
    body: message,
  },
  'POST /v1/responses': { body: { model: 'local/local', input: 'Goods may be returned within 30 days.' } },
  'GET /v1/responses/{id}': { path: { id: response } },
  'GET /v1/responses/{id}/input_items': { path: { id: response }, query: { limit: 10 } },
  'DELETE /v1/responses/{id}': { path: { id: response } },
  'POST /v1/messages': { body: { ...message, max_tokens: 200 } },
  'POST /v1/messages/count_tokens': { body: message },
  'GET /v1/models': {},
  'GET /v1/cache/stats': {},
  'POST /v1/cache/purge': {
    body: { request: message },
  },
  'POST /v1/embeddings': { body: { model: 'local', input: ['How do I return goods?'] } },
  'POST /embed': { body: { inputs: ['How do I return goods?'] } },
  'PUT /v1/indexes/{index}': {
    path: { index },
    body: { fields: { department: 'tag', year: 'number' }, embedding_model: 'local' },
  },
  'GET /v1/indexes': {},
  'GET /v1/indexes/{index}': { path: { index } },
  'POST /v1/indexes/{index}/documents': {
    path: { index },
    query: { async: 'true' },
    body: [
      { id, text: RETURNS, metadata: { department: 'sales', year: 2026 } },
      {
        id: 'holidays',
        text: 'Everybody has 30 days of holidays a year.',
        metadata: { department: 'people', year: 2026 },
      },
    ],
  },
  'GET /v1/jobs/{id}': {
    path: { id: new FromReply('POST /v1/indexes/{index}/documents', '$response.body#/id', 'JOB_ID') },
  },
  'PUT /v1/indexes/{index}/documents/{id}': {
    path: { index, id },
    body: { text: RETURNS, metadata: { department: 'sales', year: 2026 } },
  },
  'GET /v1/indexes/{index}/documents': { path: { index }, query: { limit: 10 } },
  'GET /v1/indexes/{index}/documents/{id}': { path: { index, id } },
  'PUT /v1/index-aliases/{alias}': { path: { alias: 'help' }, body: { index } },
  'GET /v1/index-aliases': {},
  'POST /v1/indexes/{index}/search': {
    path: { index },
    body: {
      query: 'How long may goods be returned?',
      top_k: 3,
      filter: { type: 'eq', key: 'department', value: 'sales' },
    },
  },
  'POST /v1/vector_stores/{index}/search': {
    path: { index },
    body: { query: 'How long may goods be returned?', max_num_results: 3 },
  },
  'POST /v1/ask': { body: { index, question: 'Within how many days may goods be returned?' } },
  'POST /v1/indexes/{index}/copy': { path: { index }, body: { to: 'handbook-2', limit: 10 } },
  'POST /v1/indexes/{index}/documents/delete': {
    path: { index },
    body: { filter: { type: 'lt', key: 'year', value: 2020 } },
  },
  'DELETE /v1/indexes/{index}/documents/{id}': { path: { index, id } },
  'DELETE /v1/index-aliases/{alias}': { path: { alias: 'help' } },
  'DELETE /v1/indexes/{index}': { path: { index } },
}
