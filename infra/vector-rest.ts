import { randomBytes, randomUUID } from 'node:crypto'
import { serve } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { createRedisResp } from '../shared/drivers/redis-resp.ts'
import { RedisReplyError, RedisTimeoutError, RedisUnavailableError } from '../shared/errors.ts'
import { createTokens } from './redis-rest/tokens.ts'
import { readVectorBridgeEnv } from './vector-rest/env.ts'
import { Refusal } from './vector-rest/errors.ts'
import { toPredicate } from './vector-rest/filter.ts'
import { createRequests } from './vector-rest/requests.ts'
import { createVectorStore } from './vector-rest/store.ts'

export interface VectorBridgeOptions {
  /** A Redis 8. */
  redisUrl: string
  token: string
  /** Of every vector. */
  dimension: number
  /** Two bridges of one name on one Redis serve one index. Default `default`. */
  name?: string
  /** How many candidates a query may compare with its filter, as Upstash bounds it; default all. */
  filteringBudget?: number
  /** Bound of every wait on Redis. Milliseconds, default 10,000. */
  timeoutMs?: number
  /** Default 64 MiB: 1,000 vectors of 3,072 numbers. */
  maxBodyBytes?: number
  report?: (message: string) => void
}

const NO_MODEL =
  'Embedding data for this index is not allowed. The index must be created with an embedding model to use it.'
const METHODS = ['POST', 'GET', 'PUT', 'DELETE']

/**
 * Upstash Vector's REST protocol over the vector sets of a Redis 8, so that @upstash/vector works without Upstash: a dense
 * index with cosine similarity and no embedding model.
 *
 * @example const { app } = createVectorBridge({ redisUrl: 'redis://127.0.0.1:6379', token, dimension: 512 })
 */
export function createVectorBridge(options: VectorBridgeOptions) {
  const { dimension, name = 'default', filteringBudget, timeoutMs = 10_000, report = () => {} } = options
  const { maxBodyBytes = 64 * 1024 * 1024 } = options
  const hasAccess = createTokens(options)
  const onError = (error: Error) => report(`Redis: ${error.message}`)
  const connect = () => createRedisResp({ url: options.redisUrl, onError })
  const [reads, writes] = [connect(), connect()]
  const store = createVectorStore({ reads, writes, name, dimension, timeoutMs, filteringBudget })
  const requests = createRequests(dimension)

  /** A path with and without a namespace at its end. */
  const at = (path: string): string[] => [`/${path}`, `/${path}/:namespace`]
  const namespaceOf = (c: Context) => c.req.param('namespace') ?? ''
  const refuseData = (): never => {
    throw new Refusal(422, NO_MODEL)
  }

  async function info() {
    const sizes = await store.namespaces.sizes()
    const namespaces = Object.fromEntries(
      sizes.map(([namespace, vectorCount]) => [namespace, { vectorCount, pendingVectorCount: 0 }]),
    )
    const vectorCount = sizes.reduce((sum, [, size]) => sum + size, 0)
    const dense = { dimension, similarityFunction: 'COSINE' }
    return {
      ...{ vectorCount, pendingVectorCount: 0, indexSize: vectorCount * dimension * 4 },
      ...{ ...dense, indexType: 'DENSE', denseIndex: { ...dense, embeddingModel: '' }, namespaces },
    }
  }

  async function resume(uuid: string, additionalK?: number) {
    const { request, seen } = await store.resumable.read(uuid)
    const { namespace, body } = request as { namespace: string; body: object }
    const query = requests.query({ ...body, ...(additionalK && { topK: additionalK }) })
    const scores = await store.query(namespace, Array.isArray(query) ? query[0]! : query, seen)
    const ids = scores.map(({ id }) => id)
    await store.resumable.gave(uuid, ids)
    return scores
  }

  const app = new Hono()
    .use(async (c, next) => {
      const token = c.req.header('authorization')?.replace(/^Bearer /i, '') ?? ''
      if (!hasAccess(token)) return c.json({ error: 'Unauthorized: Invalid auth token', status: 401 }, 401)
      return next()
    })
    .use(
      bodyLimit({
        maxSize: maxBodyBytes,
        onError: () => {
          throw new Refusal(413, `The request is larger than ${maxBodyBytes} bytes`)
        },
      }),
    )
    .on(METHODS, at('upsert'), async (c) => {
      await store.upsert(namespaceOf(c), requests.upsert(await body(c)))
      return c.json({ result: 'Success' })
    })
    .on(METHODS, at('upsert-data'), refuseData)
    .on(METHODS, at('query-data'), refuseData)
    .on(METHODS, at('resumable-query-data'), refuseData)
    .on(METHODS, at('update'), async (c) => {
      const updated = await store.update(namespaceOf(c), requests.update(await body(c)))
      return c.json({ result: { updated: Number(updated) } })
    })
    .on(METHODS, at('query'), async (c) => {
      const query = requests.query(await body(c))
      const namespace = namespaceOf(c)
      if (!Array.isArray(query)) return c.json({ result: await store.query(namespace, query) })
      const result = []
      for (const one of query) result.push(await store.query(namespace, one))
      return c.json({ result })
    })
    .on(METHODS, at('resumable-query'), async (c) => {
      const request = await body(c)
      requests.query(request)
      const uuid = randomUUID()
      await store.resumable.start(
        uuid,
        { namespace: namespaceOf(c), body: request },
        requests.maxIdle(request),
      )
      return c.json({ result: { uuid, scores: await resume(uuid) } })
    })
    .on(METHODS, '/resumable-query-next', async (c) => {
      const { uuid, additionalK } = requests.resume(await body(c))
      return c.json({ result: await resume(uuid, additionalK) })
    })
    .on(METHODS, '/resumable-query-end', async (c) => {
      await store.resumable.stop(requests.stop(await body(c)).uuid)
      return c.json({ result: 'Success' })
    })
    .on(METHODS, at('delete'), async (c) => {
      const namespace = namespaceOf(c)
      const { ids, prefix, filter } = requests.delete(await body(c))
      const chosen =
        ids ??
        (filter === undefined
          ? await store.idsWith(namespace, prefix!)
          : await store.idsPassing(namespace, toPredicate(filter)))
      return c.json({ result: { deleted: await store.delete(namespace, chosen) } })
    })
    .on(METHODS, at('fetch'), async (c) => {
      const namespace = namespaceOf(c)
      const { ids, prefix, include } = requests.fetch(await body(c))
      const chosen = ids ?? (await store.idsWith(namespace, prefix!, 1_000))
      const items = await store.fetch(namespace, chosen, include)
      return c.json({ result: ids ? items : items.filter((item) => item !== null) })
    })
    .on(METHODS, at('range'), async (c) => {
      const { cursor, limit, prefix, include } = requests.range(await body(c))
      return c.json({ result: await store.range(namespaceOf(c), cursor, limit, prefix, include) })
    })
    .on(METHODS, at('random'), async (c) => c.json({ result: await store.random(namespaceOf(c)) }))
    .on(METHODS, at('reset'), async (c) => {
      const all = c.req.query('all') !== undefined && c.req.param('namespace') === undefined
      const names = all ? await store.namespaces.list() : [namespaceOf(c)]
      for (const namespace of names) await store.namespaces.empty(namespace)
      return c.json({ result: 'Success' })
    })
    .on(METHODS, '/info', async (c) => c.json({ result: await info() }))
    .on(METHODS, '/list-namespaces', async (c) => c.json({ result: await store.namespaces.list() }))
    .on(METHODS, '/delete-namespace/:namespace', async (c) => {
      await store.namespaces.remove(c.req.param('namespace'))
      return c.json({ result: 'Success' })
    })
    .notFound((c) => c.json({ error: `Not found: ${c.req.path}`, status: 404 }, 404))
    .onError((error, c) => {
      const answer = (status: 400 | 404 | 413 | 422 | 500 | 503 | 504, message: string) =>
        c.json({ error: message, status }, status)
      if (error instanceof Refusal) return answer(error.status, error.message)
      report(error.message)
      if (error instanceof RedisTimeoutError) return answer(504, error.message)
      if (error instanceof RedisUnavailableError) return answer(503, error.message)
      if (error instanceof RedisReplyError) return answer(500, error.message)
      return answer(500, 'Internal error')
    })

  return {
    app,
    /** Resolves when Redis answers; rejects where the index has another dimension. */
    ready: () => store.open(),
    async close() {
      await Promise.all([reads.close(), writes.close()])
    },
  }
}

async function body(c: Context): Promise<unknown> {
  const text = await c.req.text()
  try {
    return JSON.parse(text)
  } catch {
    throw new Refusal(400, 'The request is not JSON')
  }
}

async function main() {
  const env = readVectorBridgeEnv(process.env)
  const token = env.HUB_VECTOR_BRIDGE_TOKEN ?? randomBytes(32).toString('base64url')
  const bridge = createVectorBridge({
    redisUrl: env.REDIS_URL,
    token,
    dimension: env.HUB_VECTOR_BRIDGE_DIMENSION,
    name: env.HUB_VECTOR_BRIDGE_INDEX,
    report: (message) => console.error(message),
  })
  await bridge.ready()
  const server = serve({ fetch: bridge.app.fetch, port: env.PORT, hostname: env.HOST }, ({ port }) => {
    const url = `http://${env.HOST.includes(':') ? `[${env.HOST}]` : env.HOST}:${port}`
    console.log(`Vectors over HTTP at ${url}, dimension ${env.HUB_VECTOR_BRIDGE_DIMENSION}, cosine`)
    // Shown only when it was made up here: a token that was given is known to whoever gave it.
    if (!env.HUB_VECTOR_BRIDGE_TOKEN)
      console.log(`UPSTASH_VECTOR_REST_URL=${url} UPSTASH_VECTOR_REST_TOKEN=${token}`)
  })

  const stop = async () => {
    setTimeout(() => process.exit(1), 5_000).unref()
    server.close(() => process.exit(0))
    await bridge.close()
  }
  process.once('SIGINT', stop).once('SIGTERM', stop)
}

if (import.meta.main) {
  main().catch((error) => {
    console.error(error.message)
    process.exit(1)
  })
}
