import type { Deps } from '../functions/deps.ts'
import { createDatasetReader } from '../shared/datasets/dataset-reader.ts'
import { createDatasets } from '../shared/datasets/datasets.ts'
import { createSkewReport } from '../shared/datasets/skew-report.ts'
import { createFeatureViews } from '../shared/features/feature-views.ts'
import { createFeatures } from '../shared/features/features.ts'
import type { Clock } from '../shared/ports/clock.ts'
import type { Redis } from '../shared/ports/redis.ts'
import type { Env } from './env.ts'
import type { Rim } from './wire.ts'

interface Wired {
  redis: Redis
  env: Env
  rim: Rim
  clock: Clock
}

/** The feature store and the training data cache. */
export function wireFeatures({ redis, env, rim, clock }: Wired) {
  const featureViews = createFeatureViews({ redis, clock })
  // A skew report reads twice.
  const callBudget = rim.countsCalls ? Math.floor(env.HUB_REDIS_CALLS / 2) - 1 : undefined
  const reader = createDatasetReader({ redis, clock, callBudget })
  return {
    deps: {
      featureViews,
      features: createFeatures({ redis, views: featureViews, clock }),
      datasets: createDatasets({ redis, clock }),
      datasetReader: reader,
      skew: createSkewReport({ reader }),
    } satisfies Partial<Deps>,
  }
}
