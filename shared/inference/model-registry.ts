import { RedisUnavailableError } from '../errors.ts'
import { MODELS_CHANGED, modelsKey } from '../keys.ts'
import type { Redis } from '../ports/redis.ts'
import { createRecall } from '../recall.ts'
import { replaceFieldScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import { fromText, type ModelVersions, NO_VERSIONS, toText, unknownModel } from './model-versions.ts'

/** How long versions and labels may be seen as they were; and while Redis is away. */
const REMEMBERED = { freshMs: 1_000, staleMs: 5 * 60_000, maxSize: 10_000 }

/** Administration may wait longer than a hot path. */
const SLOW = { timeoutMs: 2_000 }

const MOST_TRIES = 20

/** Which versions and labels the models of all tenants have: one hash a tenant, each field replaced only where it holds what was seen. */
export function createModelRegistry({ redis }: { redis: Redis }) {
  const known = createRecall<ModelVersions>(REMEMBERED)

  const read = async (tenant: string, name: string, options?: { timeoutMs: number }) =>
    (await send(redis, ['HGET', modelsKey(tenant), name], options)) as string | null

  const registry = {
    /** Remembered for a second, so it mostly asks nobody. Throws 404. */
    resolve: (tenant: string, name: string): Promise<ModelVersions> =>
      known.get(rememberedAs(tenant, name), async () => {
        const found = fromText(await read(tenant, name))
        if (!found) throw unknownModel(name)
        return found
      }),

    /** As Redis holds it now. */
    find: async (tenant: string, name: string): Promise<ModelVersions | undefined> =>
      fromText(await read(tenant, name, SLOW)),

    async list(tenant: string): Promise<[string, ModelVersions][]> {
      const flat = (await send(redis, ['HGETALL', modelsKey(tenant)], SLOW)) as string[]
      const names = flat.filter((_, at) => at % 2 === 0)
      return names
        .map((name, at): [string, ModelVersions] => [name, fromText(flat[2 * at + 1]!)!])
        .sort(([a], [b]) => (a < b ? -1 : 1))
    },

    /** `edit` says what shall be, and may be asked again where somebody else was faster; what it throws leaves everything as it is. */
    async change(tenant: string, name: string, edit: (found: ModelVersions) => ModelVersions): Promise<void> {
      for (let n = 0; n < MOST_TRIES; n++) {
        const text = (await read(tenant, name, SLOW)) ?? ''
        const wanted = toText(edit(fromText(text) ?? NO_VERSIONS))
        const args = [name, text, wanted]
        const call = { script: replaceFieldScript, keys: [modelsKey(tenant)], args }
        if ((await send(redis, call, SLOW)) === 0) continue
        registry.forget(tenant, name)
        // Who does not hear it, looks within a second.
        await send(redis, ['PUBLISH', MODELS_CHANGED, `${tenant}/${name}`], SLOW).catch(() => {})
        return
      }
      throw new RedisUnavailableError(`The model ${name} is changed by too many at once`)
    },

    forget: (tenant: string, name: string): void => known.forget(rememberedAs(tenant, name)),
  }
  return registry
}

export type ModelRegistry = ReturnType<typeof createModelRegistry>

const rememberedAs = (tenant: string, name: string) => `${tenant}/${name}`
