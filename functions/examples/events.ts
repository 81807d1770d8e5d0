import { FromReply, type Story } from './example.ts'

const stream = 'readings'
const name = 'too-hot'
const source = 'github'
const queue = 'nightly'

/** Streams, webhooks, alerts, schedules and queues. */
export const eventStory: Story = {
  'PUT /v1/events/{stream}': {
    path: { stream },
    body: { handler: { type: 'forward', stream: 'archive' }, key: 'subject', retention_seconds: 3600 },
  },
  'GET /v1/events': {},
  'GET /v1/events/{stream}': { path: { stream } },
  'PUT /v1/alerts/{name}': {
    path: { name },
    body: { on: { stream }, when: { type: 'threshold', path: 'data.celsius', op: 'gt', value: 75 } },
  },
  'GET /v1/alerts': {},
  'GET /v1/alerts/{name}': { path: { name } },
  'POST /v1/events/{stream}': {
    path: { stream },
    type: 'application/cloudevents+json',
    body: {
      ...{ specversion: '1.0', id: 'r-1', source: '/halls/3', type: 'reading' },
      ...{ subject: 'sensor-7', data: { celsius: 76.5 } },
    },
  },
  'GET /v1/events/{stream}/latest': { path: { stream }, query: { limit: 10 } },
  'GET /v1/events/{stream}/stats': { path: { stream } },
  'GET /v1/results/{id}': {
    path: {
      id: new FromReply('POST /v1/events/{stream}', '$response.body#/events/0/result_id', 'RESULT_ID'),
    },
    query: { wait_seconds: 10 },
  },
  'GET /v1/events/{stream}/dead': { path: { stream }, query: { limit: 10 } },
  'POST /v1/events/{stream}/dead/replay': { path: { stream }, body: { filter: { type: 'reading' } } },
  'PUT /v1/webhooks/{source}': {
    path: { source },
    body: { scheme: 'github', secret: 'a-secret-of-this-example', target: { stream } },
  },
  'GET /v1/webhooks': {},
  'GET /v1/webhooks/{source}': { path: { source } },
  'POST /v1/webhooks/{source}': {
    path: { source },
    headers: {
      'x-github-event': 'issues',
      'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
      'x-hub-signature-256': 'sha256=f0fd41566deecb22ea4fe0241a6964f880ebce0e51f01db1bc05d6eb093e4bd2',
    },
    body: { action: 'opened', issue: { number: 1, title: 'The sensor in hall 3 is silent' } },
  },
  'DELETE /v1/webhooks/{source}': { path: { source } },
  'PUT /v1/schedules/{name}': {
    path: { name: 'hourly' },
    body: { every_seconds: 3600, source: { type: 'event', stream, event_type: 'count', data: { hall: 3 } } },
  },
  'GET /v1/schedules': {},
  'GET /v1/schedules/{name}': { path: { name: 'hourly' } },
  'POST /v1/schedules/{name}/run': { path: { name: 'hourly' } },
  'DELETE /v1/schedules/{name}': { path: { name: 'hourly' } },
  'POST /v1/queues/{queue}/jobs': {
    path: { queue },
    body: [{ id: 'count-1', handler: { type: 'forward', stream: 'archive' }, data: { hall: 3 } }],
  },
  'GET /v1/queues/{queue}': { path: { queue } },
  'GET /v1/queues/{queue}/dead': { path: { queue }, query: { limit: 10 } },
  'POST /v1/queues/{queue}/dead/replay': { path: { queue }, body: { ids: ['count-1'] } },
  'GET /v1/deliveries/dead': { query: { limit: 10 } },
  'POST /v1/deliveries/dead/replay': { body: { ids: ['1790000000000-0'] } },
  'DELETE /v1/alerts/{name}': { path: { name } },
  'DELETE /v1/events/{stream}': { path: { stream } },
}
