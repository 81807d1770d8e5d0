import { z } from 'zod'
import { parseRedisUrl, REDIS_URL_FORMATS } from '../../shared/drivers/redis-resp-url.ts'

const token = z.string().min(1).optional()

const BridgeEnv = z
  .object({
    REDIS_URL: z
      .string({ error: `needs ${REDIS_URL_FORMATS}` })
      .refine((url) => parseRedisUrl(url) !== undefined, `needs ${REDIS_URL_FORMATS}`),
    PORT: z.coerce.number().int().min(0).max(65_535).default(8079),
    HOST: z.string().default('127.0.0.1'),
    HUB_BRIDGE_TOKEN: token,
    HUB_BRIDGE_READONLY_TOKEN: token,
  })
  .refine((env) => !env.HUB_BRIDGE_TOKEN || env.HUB_BRIDGE_TOKEN !== env.HUB_BRIDGE_READONLY_TOKEN, {
    path: ['HUB_BRIDGE_READONLY_TOKEN'],
    error: 'must differ from HUB_BRIDGE_TOKEN',
  })

/** The bridge's settings; every missing or bad variable is named at once. An empty one counts as missing. */
export function readBridgeEnv(env: Record<string, string | undefined>) {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const parsed = BridgeEnv.safeParse(given)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`)
  throw new Error(`The bridge cannot start:\n${problems.join('\n')}`)
}
