/** The yardstick of a cache hit: the least that any cache must do. Parse, hash, one GET, reply. */
import { createHash } from 'node:crypto'
import { createClient } from '@redis/client'
import { Hono } from 'hono'
import { serveBare } from './serve-bare.ts'

const redis = createClient({ url: process.env.REDIS_URL!, RESP: 2 })
await redis.connect()

serveBare(
  new Hono().post('/v1/chat/completions', async (c) => {
    const body = await c.req.json()
    const hash = createHash('sha256').update(JSON.stringify(body)).digest('hex')
    const stored = await redis.get(`bare:${hash}`)
    return stored === null ? c.notFound() : c.body(stored, 200, { 'Content-Type': 'application/json' })
  }),
)
