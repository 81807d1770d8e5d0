import { setTimeout as sleep } from 'node:timers/promises'
import type { Deps } from '../functions/deps.ts'
import { createRuntimeRedisai } from '../shared/drivers/runtime-redisai.ts'
import { createInfer } from '../shared/inference/infer.ts'
import { createLoadedModels } from '../shared/inference/loaded-models.ts'
import { createMicroBatches } from '../shared/inference/micro-batches.ts'
import { createModelRegistry } from '../shared/inference/model-registry.ts'
import { createModelStore } from '../shared/inference/model-store.ts'
import { createModels } from '../shared/inference/models.ts'
import { createOip, type OipOptions } from '../shared/inference/oip.ts'
import { createServing } from '../shared/inference/serving.ts'
import { MODELS_CHANGED, redisaiKeys } from '../shared/keys.ts'
import type { Usage } from '../shared/metering/usage.ts'
import type { Clock } from '../shared/ports/clock.ts'
import type { ModelRuntime } from '../shared/ports/model-runtime.ts'
import type { Redis, Subscription } from '../shared/ports/redis.ts'
import type { Env } from './env.ts'
import type { Connections, Rim } from './wire.ts'

interface Wired extends Pick<Connections, 'redis' | 'connectRedisai'> {
  usage: Usage
  observe?: OipOptions['observe']
  env: Env
  rim: Rim
  clock: Clock
}

/** Models: where they lie, who runs them, and in which words they are asked. */
export function wireInference({ redis, connectRedisai, usage, observe, env, rim, clock }: Wired) {
  const { log } = rim
  const shares = rim.sharesRequests
  const redisai = connectRedisai && createRuntimeRedisai({ redis: connectRedisai(), keys: redisaiKeys })
  const own = rim.modelRuntime
  const inOrder = env.HUB_REDISAI_URL ? [redisai, own] : [own, redisai]
  const runtimes = inOrder.filter((runtime): runtime is ModelRuntime => runtime !== undefined)
  const registry = createModelRegistry({ redis })
  const store = createModelStore({ redis, clock })
  const memoryBytes = env.HUB_MODEL_MEMORY_BYTES
  const kept = rim.keptModels
  const loaded = createLoadedModels({ store, runtimes, memoryBytes, shares, kept, log })
  const serving = createServing({ registry, loaded, shares, log })
  const batches = createMicroBatches({
    // Where no request may wait for another one's run, each runs alone.
    delayMs: shares ? env.HUB_INFERENCE_BATCH_MS : 0,
    timeoutMs: env.HUB_INFERENCE_TIMEOUT_SECONDS * 1_000,
  })
  const infer = createInfer({ serving, batches })
  return {
    deps: {
      models: createModels({ registry, store, loaded, onChanged: serving.onChanged }),
      ...{ serving, infer, oip: createOip({ infer, usage, observe }) },
    } satisfies Partial<Deps>,
    /** Hears of new versions and labels, until the signal aborts; over HTTP it is looked for. */
    run: (signal: AbortSignal) => hearOfChanges(redis, serving.onChanged, signal),
    async close(): Promise<void> {
      const ours = runtimes.filter((runtime) => !kept || runtime !== own)
      await loaded.close(ours)
      await Promise.all(ours.map((runtime) => runtime.close()))
    },
  }
}

async function hearOfChanges(
  redis: Redis,
  onChanged: (tenant: string, name: string) => Promise<void>,
  signal: AbortSignal,
) {
  if (redis.wakeUps !== 'push') return
  const onMessage = (member: string) => {
    const [tenant = '', name = ''] = member.split('/')
    void onChanged(tenant, name)
  }
  let subscription: Subscription | undefined
  while (!subscription && !signal.aborted) {
    const options = { timeoutMs: 5_000, signal }
    subscription = await redis.subscribe(MODELS_CHANGED, onMessage, options).catch(() => undefined)
    if (!subscription) await sleep(1_000, undefined, { signal }).catch(() => {})
  }
  if (!signal.aborted) await new Promise((stop) => signal.addEventListener('abort', stop, { once: true }))
  await subscription?.close()
}
