/** The yardstick of a miss: the least that any proxy must do. Parse, ask the provider, hand its body on. */
import { Hono } from 'hono'
import { serveBare } from './serve-bare.ts'

const provider = process.env.PROVIDER_URL!

serveBare(
  new Hono().post('/v1/chat/completions', async (c) => {
    const body = await c.req.json()
    const response = await fetch(`${provider}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk-bench', 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    const headers = { 'Content-Type': response.headers.get('content-type') ?? '' }
    if (body.stream) return c.body(response.body!, 200, headers)
    return c.body(await response.text(), 200, headers)
  }),
)
