import type { AlertRules } from '../../shared/alerts/alert-rules.ts'
import { createDatasets } from '../../shared/datasets/datasets.ts'
import type { Embeddings } from '../../shared/embeddings/embeddings.ts'
import { createInferHandler } from '../../shared/events/handle-infer.ts'
import { createFeatureViews } from '../../shared/features/feature-views.ts'
import { createFeatures } from '../../shared/features/features.ts'
import { PipelineDefinition } from '../../shared/inference/pipelines/definition.ts'
import type { PipelineRow } from '../../shared/inference/pipelines/pipeline-call.ts'
import { createPipelines } from '../../shared/inference/pipelines/pipelines.ts'
import { createRunPipeline } from '../../shared/inference/pipelines/run-pipeline.ts'
import type { Serving } from '../../shared/inference/serving.ts'
import { startInference, type TestInferenceOptions } from './models.ts'

const embeddings: Embeddings = {
  resolve: () => Promise.reject(new Error('There are no embeddings here')) as never,
  embed: () => Promise.reject(new Error('There are no embeddings here')),
}

const NO_RULES: Pick<AlertRules, 'put' | 'delete'> = {
  put: () => Promise.reject(new Error('There are no alerts here')),
  delete: async () => {},
}

const callerOf = (tenant: string) => ({
  ...{ tenant, keyId: null, scopes: null, models: null, channels: null },
  ...{ requestLimits: [], tokenLimits: [], budgets: [] },
})

/** The parts of pipelines and what they rest on, put together as a hub does it. */
export function startPipelines({
  alertRules = NO_RULES,
  serving: given,
  ...options
}: TestInferenceOptions & {
  alertRules?: Pick<AlertRules, 'put' | 'delete'>
  /** In place of its own. */
  serving?: Pick<Serving, 'acquire'>
}) {
  const { redis } = options
  const clock = Date
  const inference = startInference(options)
  const serving = given ?? inference.serving
  const views = createFeatureViews({ redis, clock })
  const features = createFeatures({ redis, views, clock })
  const datasets = createDatasets({ redis, clock })
  const run = createRunPipeline({ redis, serving, features, datasets, embeddings, timeoutMs: 10_000, clock })
  const pipelines = createPipelines({ redis, serving, embeddings, alertRules, run, clock })
  const admission = { recall: async (tenant: string) => callerOf(tenant) }
  return {
    ...{ ...inference, views, features, datasets, pipelines },
    handler: createInferHandler({ pipelines, admission, clock }),
    put: (tenant: string, name: string, definition: object) =>
      pipelines.put(tenant, name, PipelineDefinition.parse(definition)),
    /** For inputs by name. */
    run: (tenant: string, name: string, inputs: readonly Record<string, unknown>[]) => {
      const rows = inputs.map(
        (inputs, n): PipelineRow => ({
          ...{ id: `${crypto.randomUUID()}`, place: n, time: Date.now(), source: { inputs } },
        }),
      )
      const signal = new AbortController().signal
      return pipelines.run(name, rows, { caller: callerOf(tenant), signal, defer: () => {} })
    },
  }
}
