import { z } from 'zod'

const BridgeEnv = z.object({
  REDIS_URL: z.url({
    protocol: /^rediss?$/,
    error: 'needs redis://[user:password@]host:port or rediss://…, of a Redis 8',
  }),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8078),
  HOST: z.string().default('127.0.0.1'),
  HUB_VECTOR_BRIDGE_TOKEN: z.string().min(1).optional(),
  HUB_VECTOR_BRIDGE_DIMENSION: z.coerce
    .number({ error: 'needs the length of the vectors, e.g. 512' })
    .int()
    .min(2)
    .max(5376),
  HUB_VECTOR_BRIDGE_SIMILARITY: z
    .enum(['COSINE'], { error: 'must be COSINE: vector sets have no other similarity' })
    .default('COSINE'),
  HUB_VECTOR_BRIDGE_INDEX: z
    .string()
    .regex(/^[\w.-]{1,64}$/, 'takes letters, digits and _ . -')
    .default('default'),
})

/** The server's settings; every missing or bad variable is named at once. An empty one counts as missing. */
export function readVectorBridgeEnv(env: Record<string, string | undefined>) {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const parsed = BridgeEnv.safeParse(given)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`)
  throw new Error(`The vector bridge cannot start:\n${problems.join('\n')}`)
}
