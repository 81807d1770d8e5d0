import { LRUCache } from 'lru-cache'
import type { AlertRules } from '../../alerts/alert-rules.ts'
import type { Embeddings } from '../../embeddings/embeddings.ts'
import { HubError } from '../../errors.ts'
import { NAME, pipelinesKey } from '../../keys.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Redis } from '../../ports/redis.ts'
import { createRecall } from '../../recall.ts'
import { replaceFieldScript } from '../../scripts.generated.ts'
import { send } from '../../send.ts'
import type { Serving } from '../serving.ts'
import { bindPlan } from './binding.ts'
import type { PipelineDefinition } from './definition.ts'
import type { PipelineCall, PipelineRow } from './pipeline-call.ts'
import { createPlan, type Plan } from './plan.ts'
import { acquireModels, type RunPipeline } from './run-pipeline.ts'

export interface NamedPipeline extends PipelineDefinition {
  name: string
  /** RFC 3339 */
  created_at: string
  updated_at: string
}

type StoredPipeline = Omit<NamedPipeline, 'name'>

export interface PipelinesOptions {
  redis: Redis
  serving: Pick<Serving, 'acquire'>
  embeddings: Pick<Embeddings, 'resolve'>
  alertRules: Pick<AlertRules, 'put' | 'delete'>
  run: RunPipeline
  clock: Clock
}

const MOST_PIPELINES = 1_000
/** How long another instance may go by what a pipeline was; and while Redis is away. */
const REMEMBERED = { freshMs: 1_000, staleMs: 60_000, maxSize: 10_000 }
const SLOW = { timeoutMs: 2_000 }

/** Definitions of all tenants: one hash a tenant, each field replaced only where it holds what was seen. */
export function createPipelines({ redis, serving, embeddings, alertRules, run, clock }: PipelinesOptions) {
  const recalled = createRecall<string | null>(REMEMBERED)
  /** By their text: one that did not change is planned once. */
  const plans = new LRUCache<string, Plan>({ max: 1_000 })

  const read = async (tenant: string, name: string) =>
    (await send(redis, ['HGET', pipelinesKey(tenant), name], SLOW)) as string | null

  const toPlan = (name: string, definition: PipelineDefinition): Plan =>
    createPlan(name, definition, {
      embeddingOf(asked) {
        const { provider, model, dimensions } = embeddings.resolve(asked)
        return { model: `${provider}/${model}`, dimensions }
      },
    })

  function planOf(name: string, text: string): Plan {
    const key = `${name} ${text}`
    const plan = plans.get(key) ?? toPlan(name, JSON.parse(text))
    plans.set(key, plan)
    return plan
  }

  async function replace(tenant: string, name: string, from: string | null, to: string): Promise<boolean> {
    const call = { script: replaceFieldScript, keys: [pipelinesKey(tenant)], args: [name, from ?? '', to] }
    const replaced = await send(redis, call, SLOW)
    recalled.forget(`${tenant}/${name}`)
    return replaced !== 0
  }

  /** Rules of the definition are set, and those that the one before had besides are removed. May be repeated. */
  async function setAlerts(tenant: string, name: string, now: Alerts, before: Alerts) {
    for (const alert of now) {
      const { field, op, value } = alert.when
      const when = { type: 'threshold', path: `result.${field}`, op, value } as const
      const rule = { on: { pipeline: name }, when, cooldown_seconds: alert.cooldown_seconds }
      await alertRules.put(tenant, ruleOf(name, alert), rule)
    }
    for (const alert of before) {
      if (now.some((other) => other.name === alert.name)) continue
      await alertRules.delete(tenant, ruleOf(name, alert)).catch((error) => {
        if (!(error instanceof HubError) || error.status !== 404) throw error
      })
    }
  }

  return {
    /**
     * Checks a definition against its models as they are now, and sets it and its alert rules. Throws 400 with the path, 404 where there is no
     * such model, 422 with too many.
     */
    async put(
      tenant: string,
      name: string,
      definition: PipelineDefinition,
    ): Promise<{ pipeline: NamedPipeline; created: boolean }> {
      checkPipelineName(name)
      for (const [n, alert] of definition.alerts.entries()) {
        const isTwice = definition.alerts.findIndex((other) => other.name === alert.name) < n
        if (!isTwice && NAME.test(ruleOf(name, alert))) continue
        const why = isTwice
          ? 'is there twice'
          : `makes a rule \`${ruleOf(name, alert)}\` of more than 64 characters`
        throw invalid(`alerts[${n}].name`, why)
      }
      const plan = toPlan(name, definition)
      const leases = await acquireModels(serving, tenant, plan)
      try {
        bindPlan(plan, leases)
      } finally {
        for (const lease of leases) lease.release()
      }
      for (;;) {
        const text = await read(tenant, name)
        const count =
          text === null ? ((await send(redis, ['HLEN', pipelinesKey(tenant)], SLOW)) as number) : 0
        if (count >= MOST_PIPELINES) throw tooMany()
        const before: StoredPipeline | undefined = text === null ? undefined : JSON.parse(text)
        const at = new Date(clock.now()).toISOString()
        const stored = { ...definition, created_at: before?.created_at ?? at, updated_at: at }
        if (!(await replace(tenant, name, text, JSON.stringify(stored)))) continue
        await setAlerts(tenant, name, definition.alerts, before?.alerts ?? [])
        return { pipeline: { name, ...stored }, created: !before }
      }
    },

    /** Throws 404. */
    async get(tenant: string, name: string): Promise<NamedPipeline> {
      const text = await read(tenant, name)
      if (text === null) throw unknownPipeline(name)
      return { name, ...JSON.parse(text) }
    },

    async list(tenant: string): Promise<NamedPipeline[]> {
      const flat = (await send(redis, ['HGETALL', pipelinesKey(tenant)], SLOW)) as string[]
      return flat
        .flatMap((name, n) => (n % 2 ? [] : [{ name, ...(JSON.parse(flat[n + 1]!) as StoredPipeline) }]))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    },

    /** With its alert rules; windows expire by themselves. Throws 404. */
    async delete(tenant: string, name: string): Promise<void> {
      for (;;) {
        const text = await read(tenant, name)
        if (text === null) throw unknownPipeline(name)
        // First: whoever repeats it after a failure still finds what to remove.
        await setAlerts(tenant, name, [], (JSON.parse(text) as StoredPipeline).alerts)
        if (await replace(tenant, name, text, '')) return
      }
    },

    /** Throws 404; 403 where the caller's key may use neither the pipeline nor all of its models; and as `RunPipeline`. */
    async run(name: string, rows: readonly PipelineRow[], call: PipelineCall) {
      checkPipelineName(name)
      const { tenant } = call.caller
      const text = await recalled.get(`${tenant}/${name}`, () => read(tenant, name))
      if (text === null) throw unknownPipeline(name)
      const plan = planOf(name, text)
      refuseForeignModels(call.caller.models, plan)
      return run(plan, rows, call)
    },
  }
}

export type Pipelines = ReturnType<typeof createPipelines>

type Alerts = PipelineDefinition['alerts']

const ruleOf = (pipeline: string, { name }: Alerts[number]) => `${pipeline}.${name}`

function refuseForeignModels(allowed: PipelineCall['caller']['models'], { name, definition }: Plan) {
  const isAllowed = (model: string) => allowed!.includes(model) || allowed!.includes(`infer/${model}`)
  if (!allowed || allowed.includes(`pipeline/${name}`)) return
  const foreign = definition.models.find(({ model }) => !isAllowed(model))
  if (!foreign) return
  const message = `This key may use neither pipeline/${name} nor infer/${foreign.model}. It may use: ${allowed.join(', ')}.`
  throw new HubError({ code: 'model_not_allowed', status: 403, message })
}

function checkPipelineName(name: string): void {
  if (!NAME.test(name)) throw invalid('name', 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
}

const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${message}`, param })

const unknownPipeline = (name: string) =>
  new HubError({
    code: 'pipeline_not_found',
    status: 404,
    message: `There is no pipeline \`${name}\`. PUT /v2/pipelines/${name} makes one.`,
    param: 'name',
  })

const tooMany = () =>
  new HubError({
    code: 'too_many_pipelines',
    status: 422,
    message: `A tenant has at most ${MOST_PIPELINES} pipelines. Delete one first.`,
  })
