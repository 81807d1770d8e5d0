import { createHash } from 'node:crypto'
import { HubError } from '../errors.ts'
import { newId } from '../ids.ts'
import { MODEL_UPLOAD_TTL_SECONDS, modelKeys } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { ModelFormat, TensorSpec } from '../ports/model-runtime.ts'
import type { Redis } from '../ports/redis.ts'
import { commitModelScript, putModelPartScript, removeModelScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import { otherBytes } from './model-versions.ts'

/** One version of a model of a tenant, and which bytes it is made of. */
export interface ModelRef {
  tenant: string
  name: string
  version: string
  sha256: string
}

/** What is known of a version without its bytes. */
export interface StoredModel {
  format: ModelFormat
  /** Bytes. */
  size: number
  sha256: string
  inputs: readonly TensorSpec[]
  outputs: readonly TensorSpec[]
  /** Rows of different requests that may be run together; 1: none. */
  maxBatch: number
  /** RFC 3339 */
  createdAt: string
}

/** 800 KiB as base64: HTTP carries no bytes, and hosted Redis takes requests of a megabyte. */
const PART_BYTES = 600 * 1024

/** A part takes some milliseconds here, and some hundred over the internet. */
const SLOW = { timeoutMs: 10_000 }

/** Versions of models in Redis: bytes in parts first, then what makes them count. */
export function createModelStore({ redis, clock }: { redis: Redis; clock: Clock }) {
  return {
    /**
     * Writes the bytes, then commits them as this version: others see it whole or not at all. `same`: it was there with these bytes,
     * which are whole now in any case.
     *
     * Errors: `HubError` `version_exists` (409) where it is there with other bytes.
     */
    async write(
      { tenant, name, version, sha256 }: ModelRef,
      bytes: Uint8Array,
      model: Omit<StoredModel, 'size' | 'sha256' | 'createdAt'>,
    ): Promise<'made' | 'same'> {
      const { model: key, blob } = modelKeys(tenant, name, version)
      const keys = [key, blob(sha256)]
      const parts = Math.ceil(bytes.length / PART_BYTES)
      for (let part = 0; part < parts; part++) {
        const text = toBase64(bytes.subarray(part * PART_BYTES, (part + 1) * PART_BYTES))
        const args = [sha256, part, text, MODEL_UPLOAD_TTL_SECONDS]
        await send(redis, { script: putModelPartScript, keys, args }, SLOW)
      }
      const fields = {
        ...{ format: model.format, size: bytes.length, max_batch: model.maxBatch },
        ...{ inputs: JSON.stringify(model.inputs), outputs: JSON.stringify(model.outputs) },
        created_at: new Date(clock.now()).toISOString(),
      }
      const args = [sha256, parts, newId(), ...Object.entries(fields).flat()]
      const outcome = await send(redis, { script: commitModelScript, keys, args }, SLOW)
      if (outcome === 'other') throw otherBytes(name, version)
      if (outcome === 'incomplete') throw lost(name, version)
      return outcome as 'made' | 'same'
    },

    async find({ tenant, name, version }: Omit<ModelRef, 'sha256'>): Promise<StoredModel | undefined> {
      const { model } = modelKeys(tenant, name, version)
      const fields = ['sha256', 'format', 'size', 'max_batch', 'inputs', 'outputs', 'created_at']
      const reply = await send(redis, ['HMGET', model, ...fields], SLOW)
      const [sha256, format, size, maxBatch, inputs, outputs, createdAt] = reply as (string | null)[]
      if (!sha256) return undefined
      return {
        ...{ sha256, format: format as ModelFormat, size: Number(size), maxBatch: Number(maxBatch) },
        ...{ inputs: JSON.parse(inputs!), outputs: JSON.parse(outputs!), createdAt: createdAt! },
      }
    },

    /** Errors: `HubError` `model_corrupt` (500) where they are not the ones that were uploaded. */
    async readBytes({ tenant, name, version, sha256 }: ModelRef, size: number): Promise<Uint8Array> {
      const key = modelKeys(tenant, name, version).blob(sha256)
      const bytes = new Uint8Array(size)
      const hash = createHash('sha256')
      for (let part = 0; part * PART_BYTES < size; part++) {
        const text = await send(redis, ['HGET', key, part], SLOW)
        const piece = Buffer.from((text as string | null) ?? '', 'base64')
        hash.update(piece)
        if (part * PART_BYTES + piece.length > size) throw corrupt(name, version)
        bytes.set(piece, part * PART_BYTES)
      }
      if (hash.digest('hex') !== sha256) throw corrupt(name, version)
      return bytes
    },

    /** False where it is not there. */
    async remove({ tenant, name, version }: Omit<ModelRef, 'sha256'>): Promise<boolean> {
      const { model, blob } = modelKeys(tenant, name, version)
      const found = await send(redis, ['HMGET', model, 'sha256', 'upload'], SLOW)
      const [sha256, upload] = found as (string | null)[]
      if (!sha256) return false
      const call = { script: removeModelScript, keys: [model, blob(sha256)], args: [upload!] }
      return (await send(redis, call, SLOW)) === 1
    },
  }
}

export type ModelStore = ReturnType<typeof createModelStore>

export const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

const toBase64 = (bytes: Uint8Array) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')

const corrupt = (name: string, version: string) =>
  new HubError({
    code: 'model_corrupt',
    status: 500,
    message: `The bytes of version ${version} of the model ${name} are not the ones that were uploaded. PUT the same bytes again.`,
    param: 'model',
  })

const lost = (name: string, version: string) =>
  new HubError({
    code: 'upload_lost',
    status: 409,
    message: `Parts of version ${version} of the model ${name} were removed while it was uploaded. PUT it again.`,
  })
