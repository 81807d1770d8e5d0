import type { Deps } from '../functions/deps.ts'
import { createPipelines } from '../shared/inference/pipelines/pipelines.ts'
import { createRunPipeline } from '../shared/inference/pipelines/run-pipeline.ts'
import type { Clock } from '../shared/ports/clock.ts'
import type { Redis } from '../shared/ports/redis.ts'
import type { Env } from './env.ts'

interface Wired extends Pick<Deps, 'serving' | 'features' | 'datasets' | 'embeddings' | 'alertRules'> {
  redis: Redis
  env: Env
  clock: Clock
}

/** Pipelines: models between the feature store and what becomes of their results. */
export function wirePipelines({ env, ...wired }: Wired) {
  const run = createRunPipeline({ ...wired, timeoutMs: env.HUB_INFERENCE_TIMEOUT_SECONDS * 1_000 })
  return { deps: { pipelines: createPipelines({ ...wired, run }) } satisfies Partial<Deps> }
}
