import { LRUCache } from 'lru-cache'
import type { LoadedModels, ModelLease } from './loaded-models.ts'
import type { ModelRegistry } from './model-registry.ts'
import type { ModelRef } from './model-store.ts'
import { checkName, type ModelVersions, selectVersion } from './model-versions.ts'

export interface ServingOptions {
  registry: Pick<ModelRegistry, 'resolve' | 'forget'>
  loaded: Pick<LoadedModels, 'acquire' | 'has'>
  /** Whether work of one request may go on after it. */
  shares: boolean
  log: Record<'info' | 'error', (line: Record<string, unknown>) => void>
}

/**
 * Which version answers: the one that a name or a label leads to. Where that changes, the old one goes on answering here until the new
 * one is loaded.
 */
export function createServing({ registry, loaded, shares, log }: ServingOptions) {
  /** What answered last, by what was asked for. */
  const serving = new LRUCache<string, { asked: Asked; ref: ModelRef }>({ max: 10_000 })
  const preparing = new Map<string, Promise<void>>()

  async function target(asked: Asked): Promise<{ ref: ModelRef; found: ModelVersions }> {
    const { tenant, name, version: wanted } = asked
    const found = await registry.resolve(tenant, name)
    const version = selectVersion(name, found, wanted)
    return { ref: { tenant, name, version, sha256: found.versions.get(version)! }, found }
  }

  /** Loads the new one beside the old one. Its failure is the operator's to read: the old one goes on. */
  function prepare({ tenant, name, version }: ModelRef, ref: ModelRef): Promise<void> {
    const line = { tenant, model: name, from: version, to: ref.version }
    const key = JSON.stringify(line)
    const running =
      preparing.get(key) ??
      loaded
        .acquire(ref)
        .then(
          ({ release }) => {
            release()
            log.info({ msg: 'A model is loaded', ...line })
          },
          (cause) =>
            log.error({ msg: 'A model cannot be loaded: the version before it goes on', ...line, cause }),
        )
        .finally(() => preparing.delete(key))
    preparing.set(key, running)
    return running
  }

  const models = {
    /**
     * Without a version the label `stable` leads, else the greatest version answers; a version may be a label.
     *
     * Errors: `HubError` `model_not_found`, `model_version_not_found` (404); those of `LoadedModels.acquire`.
     */
    async acquire(tenant: string, name: string, version?: string): Promise<ModelLease> {
      checkName(name, 'model')
      if (version !== undefined) checkName(version, 'version')
      const asked = { tenant, name, version }
      const key = keyOf(asked)
      const { ref, found } = await target(asked)
      const last = serving.get(key)?.ref
      const isNew = last && !isSame(last, ref) && !loaded.has(ref)
      if (isNew && shares && loaded.has(last) && found.versions.get(last.version) === last.sha256) {
        void prepare(last, ref)
        return loaded.acquire(last)
      }
      const lease = await loaded.acquire(ref)
      serving.set(key, { asked, ref })
      return lease
    },

    /** Somebody changed the versions or labels of a model: what is served here is loaded before it is asked for. Never rejects. */
    async onChanged(tenant: string, name: string): Promise<void> {
      registry.forget(tenant, name)
      const served = [...serving.values()].filter(
        ({ asked }) => asked.tenant === tenant && asked.name === name,
      )
      await Promise.all(
        served.map(async ({ asked, ref: last }) => {
          const now = await target(asked).catch(() => undefined) // gone, or asked again by who wants it
          if (now && !isSame(last, now.ref) && !loaded.has(now.ref)) await prepare(last, now.ref)
        }),
      )
    },
  }
  return models
}

export type Serving = ReturnType<typeof createServing>

interface Asked {
  tenant: string
  name: string
  version?: string
}

const keyOf = ({ tenant, name, version = '' }: Asked) => `${tenant}/${name}/${version}`

const isSame = (one: ModelRef, other: ModelRef) =>
  one.version === other.version && one.sha256 === other.sha256
