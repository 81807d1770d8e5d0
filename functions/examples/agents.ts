import { FromReply, type Story } from './example.ts'

const id = 'scribe'
const memory = new FromReply('POST /v1/agents/{id}/memory', '$response.body#/id', 'MEMORY_ID')

/** An agent that works, remembers and takes tasks, by the embedded model. */
export const agentStory: Story = {
  'PUT /v1/agents/{id}': {
    path: { id },
    body: {
      role: 'custom',
      model: 'local/local',
      instructions: 'You write reports of what sensors say.',
      tools: [{ type: 'builtin', name: 'recall' }],
      limits: { steps: 5 },
    },
  },
  'GET /v1/agents': { query: { limit: 10 } },
  'GET /v1/agents/{id}': { path: { id } },
  'POST /v1/agents/{id}/steps': { path: { id }, body: { input: 'The sensor in hall 3 says 71 °C.' } },
  'GET /v1/agents/{id}/steps': { path: { id }, query: { limit: 10 } },
  'POST /v1/agents/{id}/messages': { path: { id }, body: { content: 'The sensor in hall 3 says 72 °C.' } },
  'GET /v1/agents/{id}/events': { path: { id }, accept: 'text/event-stream' },
  'POST /v1/agents/{id}/memory': {
    path: { id },
    body: { text: 'Hall 3 must stay below 75 °C.', metadata: { hall: 3 } },
  },
  'GET /v1/agents/{id}/memory': { path: { id }, query: { query: 'How hot may hall 3 be?', top_k: 3 } },
  'DELETE /v1/agents/{id}/memory/{memory}': { path: { id, memory } },
  'POST /v1/agents/{id}/memory/{memory}/restore': { path: { id, memory } },
  'POST /v1/tasks': { body: { id: 'report-1', input: { hall: 3 }, topic: 'reports' } },
  'GET /v1/tasks': { query: { status: 'waiting', limit: 10 } },
  'POST /v1/task-claims': { body: { executor: 'worker-1', topics: ['reports'], lease_seconds: 60 } },
  'PUT /v1/tasks/{id}/lease': { path: { id: 'report-1' }, body: { attempt: 1, lease_seconds: 60 } },
  'POST /v1/tasks/{id}/result': {
    path: { id: 'report-1' },
    body: { attempt: 1, status: 'done', output: { text: 'Hall 3 is at 72 °C.' } },
  },
  'GET /v1/tasks/{id}': { path: { id: 'report-1' } },
  'PUT /v1/knowledge/{topic}': { path: { topic: 'halls' }, body: { limit: 75, unit: '°C' } },
  'GET /v1/knowledge': { query: { limit: 10 } },
  'GET /v1/knowledge/{topic}': { path: { topic: 'halls' } },
  'DELETE /v1/knowledge/{topic}': { path: { topic: 'halls' } },
  'DELETE /v1/agents/{id}': { path: { id } },
}
