import { FromReply, type Story } from './example.ts'

const tenant = 'example-shop'
const id = new FromReply('POST /v1/keys', '$response.body#/id', 'KEY_ID')
const prompt = { name: 'greeting' }
const promptLabel = { ...prompt, label: 'production' }
const alias = 'quick'
const credential = { provider: 'openai', id: 'team' }
const breaker = { name: 'local/local' }
const echo = { path: 'echo' }

/** Prompts, models, keys, tenants and the gateway. */
export const administrationStory: Story = {
  'PUT /v1/prompts/{name}': {
    path: prompt,
    body: {
      messages: [{ role: 'system', content: 'You greet {{name}} in {{language}}.' }],
      variables: { name: { type: 'string' }, language: { type: 'string', default: 'English' } },
    },
  },
  'GET /v1/prompts': { query: { limit: 10 } },
  'PUT /v1/prompts/{name}/labels/{label}': { path: promptLabel, body: { version: 1 } },
  'GET /v1/prompts/{name}': { path: prompt, query: { label: 'production' } },
  'POST /v1/prompts/{name}/render': { path: prompt, body: { variables: { name: 'Ada' } } },
  'DELETE /v1/prompts/{name}/labels/{label}': { path: promptLabel },
  'DELETE /v1/prompts/{name}': { path: prompt },
  'GET /v1/usage': { query: { group_by: 'model' } },
  'GET /v1/requests': { query: { model: 'local/local', limit: 10 } },
  'GET /v1/requests/{id}': {
    path: { id: new FromReply('GET /v1/requests', '$response.body#/data/0/id', 'REQUEST_ID') },
  },
  'PUT /v1/model-routes/{alias}': {
    path: { alias },
    body: { targets: [{ model: 'local/local' }], strategy: 'ordered', retries: 1 },
  },
  'GET /v1/model-routes': {},
  'GET /v1/model-routes/{alias}': { path: { alias } },
  'DELETE /v1/model-routes/{alias}': { path: { alias } },
  'PUT /v1/credentials/{provider}/{id}': { path: credential, body: { api_key: 'sk-of-this-example' } },
  'GET /v1/credentials': {},
  'GET /v1/credentials/{provider}/{id}': { path: credential },
  'DELETE /v1/credentials/{provider}/{id}': { path: credential },
  'GET /v1/breakers': {},
  'GET /v1/breakers/{name}': { path: breaker },
  'POST /v1/breakers/{name}': { path: breaker, body: { state: 'auto' } },
  'PUT /v1/tenants/{tenant}': {
    path: { tenant },
    body: {
      limits: [{ on: 'requests', limit: 600, window_seconds: 60 }],
      budget: { usd: 50, period: 'monthly' },
    },
  },
  'GET /v1/tenants/{tenant}': { path: { tenant } },
  'POST /v1/keys': { body: { tenant, name: 'web shop', scopes: ['cache-complete', 'search', 'ask'] } },
  'GET /v1/keys': { query: { tenant } },
  'GET /v1/keys/{id}': { path: { id } },
  'DELETE /v1/keys/{id}': { path: { id } },
  'GET /v1/tenants': {},
  'GET /v1/tenants/{tenant}/export': { path: { tenant } },
  'DELETE /v1/tenants/{tenant}': { path: { tenant } },
  'GET /v1/tenants/{tenant}/erasure': { path: { tenant } },
  'GET /v1/audit': { query: { tenant, limit: 10 } },
  'POST /v1/dashboard-session': { body: { key: 'YOUR_ADMIN_KEY' } },
  'GET /v1/dashboard-session': {},
  'DELETE /v1/dashboard-session': {},
  'GET /v1/overview': { query: { minutes: 60 } },
  'GET /v1/overview/events': { query: { minutes: 60 }, accept: 'text/event-stream' },
  'GET /metrics': {},
  'POST /mcp': {
    body: { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} },
  },
  'PUT /v1/routes/{id}': {
    path: { id: 'echo' },
    body: { path: '/echo', upstream: 'https://httpbin.org/anything', strip_prefix: true },
  },
  'GET /v1/routes': {},
  'GET /v1/routes/{id}': { path: { id: 'echo' } },
  'GET /gateway/{path}': { path: echo },
  'POST /gateway/{path}': { path: echo, body: { cups: 2 } },
  'PUT /gateway/{path}': { path: echo, body: { cups: 2 } },
  'PATCH /gateway/{path}': { path: echo, body: { cups: 3 } },
  'DELETE /gateway/{path}': { path: echo },
  'GET /v1/authz': {},
  'DELETE /v1/routes/{id}': { path: { id: 'echo' } },
}
