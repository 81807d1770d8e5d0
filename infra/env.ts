import { z } from 'zod'
import { parseRedisUrl, REDIS_URL_FORMATS } from '../shared/drivers/redis-resp-url.ts'

const seconds = z.coerce.number().int().positive()

/** An unset variable and an empty one are the same: compose files and dashboards leave empty ones behind. */
const text = (description: string) => z.string().optional().describe(description)

const respUrl = z
  .string()
  .refine((url) => parseRedisUrl(url) !== undefined, `must look like ${REDIS_URL_FORMATS}`)

const json = <Schema extends z.ZodType>(schema: Schema) =>
  z
    .string()
    .transform((value, context) => {
      try {
        return JSON.parse(value) as unknown
      } catch (error) {
        // Only up to the comma: after it the engine repeats the value.
        context.addIssue(`is not JSON: ${(error as Error).message.split(',')[0]}`)
        return z.NEVER
      }
    })
    .pipe(schema)

const onOff = (otherwise: 'on' | 'off') => z.enum(['on', 'off']).default(otherwise)

const usd = z.number().nonnegative()

/** Everything the hub reads from its environment; the table of infra/docs/configuration.md is made from it. */
export const Env = z
  .object({
    PORT: z.coerce.number().int().min(0).max(65_535).default(8787).describe('Port of the Node server.'),
    HOST: z
      .string()
      .default('127.0.0.1')
      .describe('Address of the Node server. Other than loopback it needs `HUB_ADMIN_KEY`.'),
    REDIS_URL: respUrl
      .optional()
      .describe(
        'A Redis over RESP: `redis://user:password@host:6379`, `redis+sentinel://user:password@host:26379,host:26379/mymaster`, `redis+cluster://user:password@host:6379,host:6379`; `rediss…` for TLS. Without any Redis, `npm start` finds or fetches one and runs it.',
      ),
    UPSTASH_REDIS_REST_URL: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('A Redis over HTTP: Upstash, or `npm run bridge`. `REDIS_URL` comes first.'),
    UPSTASH_REDIS_REST_TOKEN: text('Its token.'),
    UPSTASH_VECTOR_REST_URL: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe(
        'An Upstash Vector index, or `npm run vector-bridge`. Without it vectors lie in Redis: by RediSearch where Redis has it, else in vector sets.',
      ),
    UPSTASH_VECTOR_REST_TOKEN: text('Its token.'),
    HUB_CACHE_REDIS_URL: z
      .union([z.url({ protocol: /^https?$/ }), respUrl], {
        error: `must look like ${REDIS_URL_FORMATS}, or https://…`,
      })
      .optional()
      .describe(
        'A second Redis for what may be evicted (`allkeys-lfu`); by RESP, or by HTTP with `HUB_CACHE_REDIS_TOKEN`.',
      ),
    HUB_CACHE_REDIS_TOKEN: text('Token of an HTTP `HUB_CACHE_REDIS_URL`.'),
    HUB_REDIS_DOWN: z
      .enum(['answer', 'refuse'])
      .default('answer')
      .describe('Completions while Redis is away: `answer` past the cache, or `refuse` with 503.'),
    HUB_ADMIN_KEY: z
      .string()
      .refine((key) => !key.startsWith('hub_'), 'must not begin with hub_: hub keys do')
      .optional()
      .describe(
        'Opens everything. Without it the hub serves loopback only, keyless. Workers and Lambda do not serve without it.',
      ),
    HUB_KEY_SECRET: z
      .string()
      .optional()
      .describe('Signs hub keys. By default derived from `HUB_ADMIN_KEY`, or kept in the data folder.'),
    HUB_SECRET_KEY: z
      .string()
      .optional()
      .describe(
        'Encrypts what Redis must not show: tenants’ provider credentials, secrets of webhooks. The same on every instance.',
      ),
    FUNCTIONS: z
      .string()
      .transform((value) =>
        value
          .split(',')
          .map((name) => name.trim())
          .filter(Boolean),
      )
      .optional()
      .describe('Which functions to serve, e.g. `cache-complete,keys`; all by default.'),
    HUB_PROVIDERS: json(
      z.record(
        z
          .string()
          .refine((name) => name !== 'app', 'must not be `app`: breakers of applications are named so'),
        z.strictObject({
          base_url: z.url({ protocol: /^https?$/ }).optional(),
          key_env: z.string().optional(),
          models: z
            .record(z.string(), z.strictObject({ input: usd, cached: usd, output: usd }).partial())
            .optional(),
          stream_usage: z.boolean().optional(),
        }),
      ),
    )
      .optional()
      .describe(
        'More providers: `{"name":{"base_url","key_env","models":{"m":{"input","cached","output"}}}}`, USD per million tokens.',
      ),
    HUB_DEFAULT_PROVIDER: text(
      'Where bare model names go; by default the first provider with a key, else `local`.',
    ),
    HUB_AGENT_MODEL: text(
      'Answers agents that name no model. By default `local/local`, which calls the tools that `@tool name {json}` lines of its instructions ask for.',
    ),
    HUB_ASK_MODEL: text(
      'Answers `POST /v1/ask` where no model is named. By default `local/local`, which quotes the best sentences.',
    ),
    HUB_EMBEDDING_MODEL: text(
      'Embeds where no model is named: `provider/model`, or `local`. By default the usual one of the first provider with a key, else `local`.',
    ),
    HUB_PROVIDER_SILENCE_SECONDS: seconds
      .default(60)
      .describe('Longest wait for a provider’s first byte and between two.'),
    HUB_UPSTREAM_SILENCE_SECONDS: seconds
      .default(30)
      .describe('Longest wait for a gateway upstream’s connection and first byte, and between two.'),
    HUB_BREAKER_FAILURE_RATE: z.coerce
      .number()
      .gt(0)
      .max(1)
      .default(0.5)
      .describe('Part of a target’s calls whose failure opens its breaker.'),
    HUB_BREAKER_MIN_CALLS: seconds.default(10).describe('Fewer calls in the window open no breaker.'),
    HUB_BREAKER_WINDOW_SECONDS: seconds.default(30).describe('Window of that rate.'),
    HUB_BREAKER_OPEN_SECONDS: seconds.default(15).describe('How long an open breaker waits for its probe.'),
    HUB_BREAKER_PROBE_SECONDS: seconds
      .default(60)
      .describe('A probe that did not end by then is taken for dead, and another one may go out.'),
    HUB_SEMANTIC_MIN_SIMILARITY: z.coerce
      .number()
      .min(0)
      .max(1)
      .default(0.4)
      .describe(
        '`x-hub-semantic`: questions less similar than this are never taken for the same; callers may ask for more. Past it a guard compares what is asked.',
      ),
    HUB_SEMANTIC_MAX_TEMPERATURE: z.coerce
      .number()
      .min(0)
      .max(2)
      .default(1)
      .describe(
        '`x-hub-semantic`: hotter calls get no answer of another one; without a temperature it is 1.',
      ),
    HUB_SEMANTIC_JUDGE: text(
      '`x-hub-semantic`: a model (`provider/model`) that decides where the guard is not sure; none by default.',
    ),
    HUB_MAX_BODY_BYTES: z.coerce
      .number()
      .int()
      .min(1024)
      .default(20 * 1024 * 1024)
      .describe('Bound of a request body.'),
    HUB_REDISAI_URL: respUrl
      .optional()
      .describe(
        'A Redis with RedisAI that runs models, in place of ONNX Runtime. Without it `REDIS_URL` runs what ONNX Runtime does not, where it has RedisAI.',
      ),
    HUB_MODEL_MAX_BYTES: z.coerce
      .number()
      .int()
      .min(1024)
      .default(128 * 1024 * 1024)
      .describe('Bound of a model that is uploaded.'),
    HUB_MODEL_MEMORY_BYTES: z.coerce
      .number()
      .int()
      .min(1024)
      .default(512 * 1024 * 1024)
      .describe('Memory of all loaded models together: the least recently used ones make room.'),
    HUB_INFERENCE_BATCH_MS: z.coerce
      .number()
      .min(0)
      .max(1_000)
      .default(1)
      .describe(
        'How long a request may wait to be joined with others while its model is busy; 0: each runs alone.',
      ),
    HUB_INFERENCE_TIMEOUT_SECONDS: seconds.default(30).describe('Longest run of a model.'),
    HUB_USAGE_DAYS: z.coerce.number().int().min(1).default(90).describe('How long usage is kept, in days.'),
    HUB_REQUEST_LOG: z
      .enum(['on', 'off'])
      .default('on')
      .describe('Keeps an entry of each completion for `GET /v1/requests`.'),
    HUB_REQUEST_LOG_CONTENT: z
      .enum(['on', 'off'])
      .default('off')
      .describe('Messages and answers too; a caller refuses with `x-hub-log-content: off`.'),
    HUB_REQUEST_LOG_DAYS: z.coerce
      .number()
      .int()
      .min(1)
      .max(3_650)
      .default(7)
      .describe('How long the request log is kept, in days.'),
    HUB_REQUEST_LOG_MOST: z.coerce
      .number()
      .int()
      .min(100)
      .default(10_000)
      .describe('About how many entries of a tenant it keeps: the latest.'),
    HUB_AUDIT_DAYS: z.coerce
      .number()
      .int()
      .min(1)
      .default(365)
      .describe('How long the log of administrative acts is kept, in days.'),
    HUB_RESERVATION_SECONDS: seconds
      .default(600)
      .describe(
        'How long a call may hold money of a budget; what a dead process held is free again after it.',
      ),
    HUB_CLAIM_SECONDS: seconds
      .default(60)
      .describe('A consumer that says nothing for so long is taken for dead: others take its work over.'),
    HUB_INDEX_PARTITIONS: z.coerce
      .number()
      .int()
      .min(1)
      .max(64)
      .optional()
      .describe(
        'Over how many keys a new index spreads its vectors; by default 1, and 8 on a Redis Cluster.',
      ),
    HUB_DRAIN_SECONDS: z.coerce
      .number()
      .min(0)
      .max(600)
      .default(0)
      .describe(
        'At SIGTERM, behind a load balancer: how long the Node server serves on while `/readyz` says `draining`, and then how long it leaves idle connections open.',
      ),
    HUB_METRICS: onOff('on').describe('`GET /metrics`, on Node.'),
    HUB_METRICS_TENANTS: onOff('off').describe('A series for each tenant in metrics.'),
    OTEL_EXPORTER_OTLP_ENDPOINT: text(
      'Where traces and metrics go by OTLP over HTTP, as `http://127.0.0.1:4318`. Heeded besides: `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, `OTEL_SDK_DISABLED` and others of infra/docs/telemetry.md.',
    ),
    HUB_LOG_LEVEL: z
      .enum(['debug', 'info', 'warn', 'error', 'silent'])
      .optional()
      .describe('What is logged; `LOG_LEVEL` where it is not set, else `info`.'),
    HUB_LOG_CONTENT: onOff('off').describe(
      'Logs show what other servers said of a failed call, which may quote prompts. Secrets they never show.',
    ),
    HUB_ACCESS_LOG: onOff('off').describe('A line in the log for each request.'),
    HUB_DATA_DIR: z.string().default('.data').describe('Where the local Redis keeps its data.'),
    HUB_ERASURE_QUIET_SECONDS: seconds
      .default(60)
      .describe(
        'An erasure of a tenant is over when nothing of it has turned up for so long: longer than the calls that may be on their way when it begins.',
      ),
    HUB_REDIS_CALLS: z.coerce
      .number()
      .int()
      .min(10)
      .default(40)
      .describe(
        'Redis calls that one Worker request may make; a Worker’s subrequests are bounded (50 on the free plan).',
      ),
  })
  .superRefine((env, context) => {
    if (env.UPSTASH_REDIS_REST_URL && !env.UPSTASH_REDIS_REST_TOKEN) {
      context.addIssue({
        code: 'custom',
        path: ['UPSTASH_REDIS_REST_TOKEN'],
        message: 'is missing, and UPSTASH_REDIS_REST_URL is set',
      })
    }
    if (env.UPSTASH_VECTOR_REST_URL && !env.UPSTASH_VECTOR_REST_TOKEN) {
      context.addIssue({
        code: 'custom',
        path: ['UPSTASH_VECTOR_REST_TOKEN'],
        message: 'is missing, and UPSTASH_VECTOR_REST_URL is set',
      })
    }
    if (env.UPSTASH_VECTOR_REST_TOKEN && !env.UPSTASH_VECTOR_REST_URL) {
      context.addIssue({
        code: 'custom',
        path: ['UPSTASH_VECTOR_REST_URL'],
        message: 'is missing, and UPSTASH_VECTOR_REST_TOKEN is set',
      })
    }
    if (env.HUB_CACHE_REDIS_URL?.startsWith('http') && !env.HUB_CACHE_REDIS_TOKEN) {
      context.addIssue({
        code: 'custom',
        path: ['HUB_CACHE_REDIS_TOKEN'],
        message: 'is missing, and HUB_CACHE_REDIS_URL is HTTP',
      })
    }
  })

export type Env = z.output<typeof Env>

/** Reads the environment; throws one error that names every bad variable. */
export function readEnv(variables: Record<string, unknown>): Env {
  const set = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ''))
  const { success, data, error } = Env.safeParse(set)
  if (success) return data
  const lines = error.issues.map(({ path, message }) => `  ${z.core.toDotPath(path)}: ${message}`)
  throw new Error(`The environment is not right:\n${lines.join('\n')}`)
}
