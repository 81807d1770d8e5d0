import { until } from '../support/hub.ts'
import { softmax } from '../support/models.ts'

/** Everything that the dashboard shows, made through the API of a hub whose Redis is its own. */
export async function seed(url: string, key: string) {
  async function send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const isBytes = body instanceof Uint8Array
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': isBytes ? 'application/octet-stream' : 'application/json',
        ...headers,
      },
      ...(body !== undefined && { body: isBytes ? (body as BodyInit) : JSON.stringify(body) }),
    })
    const reply = await response.json().catch(() => undefined)
    return { status: response.status, reply }
  }
  async function done(...call: Parameters<typeof send>) {
    const { status, reply } = await send(...call)
    if (status >= 300) throw new Error(`${call[0]} ${call[1]}: ${status} ${JSON.stringify(reply)}`)
    return reply
  }
  const complete = (model: string, content: string, headers = {}) =>
    send('POST', '/v1/chat/completions', { model, messages: [{ role: 'user', content }] }, headers)

  for (const [name, usd] of [
    ['web shop', 20],
    ['support desk', 5],
  ] as const) {
    const limits = [{ on: 'requests', limit: 600, window_seconds: 60 }]
    const made = await done('POST', '/v1/keys', {
      ...{ tenant: 'default', name, limits, budget: { usd, period: 'monthly' } },
    })
    for (let i = 0; i < 6; i++) {
      await complete('openai/gpt-4o-mini', `Question ${i % 3} of the ${name}`, {
        authorization: `Bearer ${made.key}`,
      })
    }
  }
  await done('POST', '/v1/keys', { tenant: 'acme', name: 'elsewhere' })
  const forAcme = { 'x-hub-act-for': 'acme' }
  await done(
    'PUT',
    '/v1/events/parcels',
    { handler: { type: 'infer', pipeline: 'absent' }, retry: { attempts: 1 } },
    forAcme,
  )
  await done('POST', '/v1/events/parcels', { type: 'parcel.lost', data: {} }, forAcme)
  for (let i = 0; i < 5; i++) await complete('openai/gpt-4o', `Summary ${i}`)
  for (let i = 0; i < 3; i++) await complete('openai/broken', `Again ${i}`)

  await done('PUT', '/v1/indexes/handbook', {})
  await done('POST', '/v1/indexes/handbook/documents', [
    {
      id: 'returns',
      text: 'Goods may be returned within 30 days of delivery. The refund is paid within five working days.',
    },
    {
      id: 'shipping',
      text: 'Parcels leave the warehouse every weekday at noon. Shipping abroad takes a week.',
    },
  ])

  await done('PUT', '/v1/events/orders', {
    handler: { type: 'infer', pipeline: 'absent' },
    retry: { attempts: 1 },
  })
  await done('PUT', '/v1/events/readings', { handler: { type: 'store' } })
  for (let i = 0; i < 3; i++) await done('POST', '/v1/events/orders', { n: i })
  for (let i = 0; i < 8; i++) await done('POST', '/v1/events/readings', { celsius: 20 + i })
  await done('PUT', '/v1/alerts/too-hot', {
    on: { stream: 'readings' },
    when: { type: 'threshold', path: 'data.celsius', op: 'gt', value: 30 },
  })
  await done('POST', '/v1/events/readings', { celsius: 35 })

  await done('PUT', '/v2/models/triage/versions/1', softmax)
  const input = { name: 'x', shape: [1, 4], datatype: 'FP32', data: [1, 2, 3, 4] }
  for (let i = 0; i < 4; i++) await send('POST', '/v2/models/triage/infer', { inputs: [input] })

  await done('PUT', '/v1/agents/concierge', { role: 'custom', model: 'openai/gpt-4o-mini' })
  for (let i = 0; i < 2; i++) {
    await done('POST', '/v1/agents/concierge/steps', { input: `Hello ${i}`, stream: false })
  }
  await until('the events are given up', async () => {
    const { reply } = await send('GET', '/v1/events/orders/dead')
    return reply.data?.length === 3
  })
  return { send, done, complete }
}
