import { HubError } from '../errors.ts'
import type { ModelFormat, TensorSpec } from '../ports/model-runtime.ts'
import type { LoadedModels } from './loaded-models.ts'
import type { ModelRegistry } from './model-registry.ts'
import { type ModelRef, type ModelStore, type StoredModel, sha256Of } from './model-store.ts'
import {
  checkName,
  type ModelVersions,
  NO_VERSIONS,
  otherBytes,
  selectVersion,
  sortVersions,
  unknownModel,
  unknownVersion,
  withLabel,
  withoutLabel,
  withoutVersion,
  withVersion,
} from './model-versions.ts'
import { hasIndependentRows } from './trial-runs.ts'

/** What is said of a version when it is uploaded. */
export interface ModelUpload {
  format: ModelFormat
  bytes: Uint8Array
  /** Needed where the format does not say them. */
  inputs?: readonly TensorSpec[]
  outputs?: readonly TensorSpec[]
  /** Rows of different requests that may be run together. By default 64 where a trial shows that rows do not depend on each other, else 1. */
  maxBatch?: number
}

/** A version, and what else there is of its model. */
export interface DescribedModel extends StoredModel {
  name: string
  version: string
  /** The greatest first. */
  versions: string[]
  labels: Record<string, string>
  defaultVersion: string
}

const USUAL_BATCH = 64

export interface ModelsOptions {
  registry: ModelRegistry
  store: ModelStore
  loaded: Pick<LoadedModels, 'loadBytes' | 'runtimeOf' | 'forgetFailure'>
  /** Resolves when what changed holds here. */
  onChanged(tenant: string, name: string): Promise<void>
}

/** Models of all tenants, as their owners manage them. */
export function createModels({ registry, store, loaded, onChanged }: ModelsOptions) {
  const models = {
    /**
     * Adds a version, loaded once to see that it is a model and what it takes. The same bytes again are no change, and make whole what
     * Redis lost of them.
     *
     * Errors: `HubError` `version_exists`, `name_taken`, `too_many_versions` (409), `invalid_value` (400), `model_too_large` (507),
     * and those of `ModelRuntime.load`.
     */
    async put(
      tenant: string,
      name: string,
      version: string,
      upload: ModelUpload,
    ): Promise<{ model: DescribedModel; created: boolean }> {
      checkName(name, 'model')
      checkName(version, 'version')
      const { bytes, format } = upload
      const ref = { tenant, name, version, sha256: sha256Of(bytes) }
      const edit = (found: ModelVersions) => withVersion(name, found, version, ref.sha256)
      edit((await registry.find(tenant, name)) ?? NO_VERSIONS)
      const stored = await store.find(ref)
      if (stored && stored.sha256 !== ref.sha256) throw otherBytes(name, version)
      const { inputs, outputs, maxBatch } = stored ?? (await inspect(ref, upload))
      const outcome = await store.write(ref, bytes, { format, inputs, outputs, maxBatch })
      loaded.forgetFailure(ref)
      await change(tenant, name, edit)
      return { model: await models.describe(tenant, name, version), created: outcome === 'made' }
    },

    /** 404 `model_not_found`, `model_version_not_found`. */
    async describe(tenant: string, name: string, wanted?: string): Promise<DescribedModel> {
      const found = await there(tenant, name)
      const version = selectVersion(name, found, wanted)
      const stored = await store.find({ tenant, name, version })
      if (!stored) throw unknownVersion(name, version)
      return { name, version, ...shown(name, found), ...stored }
    },

    /** In the order of their names. */
    list: async (tenant: string) =>
      (await registry.list(tenant)).map(([name, found]) => ({ name, ...shown(name, found) })),

    /** Gone here at once, elsewhere within a second; running calls end. 404; 409 `version_in_use` while a label leads to it. */
    async delete(tenant: string, name: string, version: string): Promise<void> {
      checkName(name, 'model')
      checkName(version, 'version')
      let wasListed = false
      await change(tenant, name, (found) => {
        wasListed = found.versions.has(version)
        return withoutVersion(name, found, version)
      })
      // An upload that died before it was listed left it behind.
      const wasStored = await store.remove({ tenant, name, version })
      if (!wasListed && !wasStored) throw unknownVersion(name, version)
    },

    /** Leads a label to a version: `stable` is what answers who names none. 404, 409. */
    async label(tenant: string, name: string, label: string, version: string): Promise<void> {
      checkName(label, 'label')
      await there(tenant, name)
      await change(tenant, name, (found) => withLabel(name, found, label, version))
    },

    async unlabel(tenant: string, name: string, label: string): Promise<void> {
      await there(tenant, name)
      await change(tenant, name, (found) => withoutLabel(name, found, label))
    },
  }
  return models

  async function change(tenant: string, name: string, edit: (found: ModelVersions) => ModelVersions) {
    await registry.change(tenant, name, edit)
    await onChanged(tenant, name)
  }

  async function there(tenant: string, name: string): Promise<ModelVersions> {
    checkName(name, 'model')
    const found = await registry.find(tenant, name)
    if (!found) throw unknownModel(name)
    return found
  }

  async function inspect(ref: ModelRef, upload: ModelUpload) {
    if (upload.bytes.length === 0) throw invalid('body', 'is empty: send the model’s bytes.')
    const runtime = loaded.runtimeOf(upload.format)
    const model = await loaded.loadBytes(ref, upload, upload.bytes)
    try {
      const { inputs, outputs } = model
      if ((upload.maxBatch ?? 1) > 1 && [...inputs, ...outputs].some(({ shape }) => shape[0] !== -1)) {
        throw invalid(
          'max_batch',
          'can be above 1 only where each input and output begins with a free dimension.',
        )
      }
      const maxBatch = upload.maxBatch ?? (await usualBatch(runtime, model))
      return { inputs, outputs, maxBatch }
    } finally {
      await model.close()
    }
  }
}

export type Models = ReturnType<typeof createModels>

const usualBatch = async (...trial: Parameters<typeof hasIndependentRows>) =>
  (await hasIndependentRows(...trial)) ? USUAL_BATCH : 1

const shown = (name: string, { versions, labels }: ModelVersions) => ({
  versions: sortVersions(versions),
  labels: Object.fromEntries(labels),
  defaultVersion: selectVersion(name, { versions, labels }),
})

const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${message}`, param })
