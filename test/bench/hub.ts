import type { Bench } from './bench.ts'
import type { BenchServer } from './process.ts'

const MODEL = 'openai/gpt-4o-mini'
export const ADMIN_KEY = 'admin-key-of-the-bench'
const ANSWER_CHARACTERS = 1_000

/** A chat of common size. `[<id>]` is where the load client makes a prompt unlike all others. */
export const chatRequest = (fields: object = {}) => ({
  model: MODEL,
  temperature: 0.2,
  messages: [
    {
      role: 'system',
      content: `You are a helpful assistant. ${'Answer from the handbook, briefly. '.repeat(15)}`,
    },
    { role: 'user', content: `Question [<id>]: how do I return a pair of shoes that I bought last week?` },
  ],
  ...fields,
})

/** The provider that answers at once, a hub in front of it, and two hub keys of one tenant, the second with a request limit. */
export async function startHub(
  bench: Bench,
): Promise<{ provider: BenchServer; hub: BenchServer; key: string; limitedKey: string }> {
  const provider = await bench.start('test/support/provider.ts', {}, [answer()])
  const hub = await bench.start('infra/node.ts', {
    PORT: '0',
    REDIS_URL: bench.redis.url,
    HUB_ADMIN_KEY: ADMIN_KEY,
    OPENAI_API_KEY: 'sk-bench',
    OPENAI_BASE_URL: `${provider.url}/v1`,
  })
  async function newKey(settings: object = {}): Promise<string> {
    const response = await fetch(`${hub.url}/v1/keys`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ tenant: 'bench', ...settings }),
    })
    return ((await response.json()) as { key: string }).key
  }
  const limits = [{ on: 'requests', limit: 1_000_000_000, window_seconds: 60 }]
  return { provider, hub, key: await newKey(), limitedKey: await newKey({ limits }) }
}

/** Sixteen deltas in a stream. */
function answer(): string {
  const deltas = Array.from({ length: 16 }, () => 'x'.repeat(ANSWER_CHARACTERS / 16))
  return JSON.stringify({ text: deltas.join(''), deltas })
}
