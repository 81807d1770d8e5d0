import { createHash } from 'node:crypto'
import { createPatience, type Patience } from '../completions/patience.ts'
import { HubError } from '../errors.ts'
import { NAME, promptKey, promptNamesKey } from '../keys.ts'
import { type Fence, fenceArgs, lockLost } from '../locks/fence.ts'
import type { Redis } from '../ports/redis.ts'
import { createRecall } from '../recall.ts'
import { deletePromptScript, labelPromptScript, putPromptScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import {
  checkLabel,
  labelsOf,
  POINTER_FIELDS,
  type Pointers,
  type PromptSelector,
  select,
  toPointers,
  unknownLabel,
  unknownPrompt,
  unknownVersion,
} from './prompt-pointers.ts'
import {
  compileTemplate,
  type DeclaredVariable,
  type PromptMessage,
  type PromptTemplate,
  toTemplate,
} from './prompt-template.ts'

export interface NewPrompt {
  messages: PromptMessage[]
  /** What the messages use, as required strings, when it is left out. */
  variables?: Record<string, DeclaredVariable>
  /** To point to the new version. */
  labels?: string[]
}

/** A version and the labels that point to it. */
interface LabelledVersion {
  version: number
  labels: string[]
}

export interface PromptVersion extends PromptTemplate, LabelledVersion {
  name: string
  /** RFC 3339 */
  created_at: string
}

/** `prompt` of a completion. */
export interface PromptReference extends PromptSelector {
  id: string
  variables?: Record<string, unknown>
}

const MAX_VERSIONS = 1_000
const MAX_LABELS = 100
const MAX_TEMPLATE_BYTES = 256 * 1024

/** How long a label may be seen where it was; and while Redis is away. */
const POINTERS = { freshMs: 1_000, staleMs: 5 * 60_000, maxSize: 10_000 }
/** Versions never change, but a prompt may be deleted. */
const TEMPLATES = { freshMs: 5 * 60_000, staleMs: Number.POSITIVE_INFINITY, maxSize: 16 * 1024 * 1024 }

/** Prompts of all tenants: one hash a prompt, written by scripts alone. */
export function createPrompts({ redis, now }: { redis: Redis; now(): number }) {
  const pointers = createRecall<Pointers>(POINTERS)
  const templates = createRecall<CompiledVersion>({ ...TEMPLATES, sizeOf: ({ size }) => size })

  const prompts = {
    /** Adds a version. With an idempotency key a repeated call returns the same version; with a fence a holder after it refuses it: 412 `lock_lost`. */
    async put(
      tenant: string,
      name: string,
      wanted: NewPrompt,
      idempotencyKey?: string,
      fence?: Fence,
    ): Promise<PromptVersion> {
      const key = keyOf(tenant, name)
      wanted.labels?.forEach((label, index) => {
        checkLabel(label, `labels[${index}]`)
      })
      const { messages, variables } = toTemplate(wanted.messages, wanted.variables)
      const template = JSON.stringify({ messages, variables, created_at: new Date(now()).toISOString() })
      if (Buffer.byteLength(template) > MAX_TEMPLATE_BYTES) throw tooLarge()
      const put = {
        script: putPromptScript,
        keys: [key],
        args: [
          template,
          JSON.stringify(wanted.labels ?? []),
          MAX_VERSIONS,
          MAX_LABELS,
          idempotencyKey === undefined ? '' : sha256(idempotencyKey),
          sha256(JSON.stringify(wanted)),
          ...fenceArgs(fence),
        ],
      }
      const [reply] = await redis.wave([put, ['ZADD', promptNamesKey(tenant), 0, name]], SLOW)
      if (reply instanceof Error) throw reply
      const [outcome, version, stored, labels] = reply as [string, number, string, string]
      if (outcome === 'mismatch') throw idempotencyMismatch()
      if (outcome === 'lost') throw lockLost(fence!, version)
      if (outcome !== 'ok') throw full(name, outcome)
      pointers.forget(key)
      return shown(name, version, JSON.parse(stored), JSON.parse(labels))
    },

    /** One version, and the numbers of all, newest first. Read from Redis, whatever is remembered. */
    async get(
      tenant: string,
      name: string,
      wanted: PromptSelector,
    ): Promise<PromptVersion & { versions: LabelledVersion[] }> {
      const found = await readPointers(tenant, name)
      const version = select(name, found, wanted)
      const { template } = await readTemplate(tenant, name, version)
      const versions = Array.from({ length: found.last - found.first + 1 }, (_, index) => ({
        version: found.last - index,
        labels: labelsOf(found.labels, found.last - index),
      }))
      return { ...shown(name, version, template, found.labels), versions }
    },

    /** In the order of their names, those after `after`. */
    async list(tenant: string, { limit, after }: { limit: number; after?: string }) {
      const start = after === undefined ? '-' : `(${after}`
      const names = (await send(
        redis,
        ['ZRANGE', promptNamesKey(tenant), start, '+', 'BYLEX', 'LIMIT', 0, limit + 1],
        SLOW,
      )) as string[]
      const page = names.slice(0, limit)
      const replies = page.length
        ? await redis.wave(
            page.map((name) => ['HMGET', promptKey(tenant, name), ...POINTER_FIELDS] as const),
            SLOW,
          )
        : []
      const data = page.flatMap((name, index) => {
        const found = toPointers(replies[index] as (string | null)[])
        return found ? [{ name, version: found.last, labels: found.labels }] : []
      })
      return { data, has_more: names.length > limit }
    },

    /** Points a label to a version: a rollback is moving `production`. Without a version the label is removed. */
    async label(tenant: string, name: string, label: string, version?: number): Promise<void> {
      const key = keyOf(tenant, name)
      checkLabel(label, 'label')
      const args = [label, version ?? '', MAX_LABELS]
      const outcome = await send(redis, { script: labelPromptScript, keys: [key], args }, SLOW)
      pointers.forget(key)
      if (outcome === 'prompt') throw unknownPrompt(name)
      if (outcome === 'version') throw unknownVersion(name, version)
      if (outcome === 'label') throw unknownLabel(name, label, {})
      if (outcome !== 'ok') throw full(name, outcome as string)
    },

    /** Deletes every version; their numbers are not given again. Elsewhere it is gone after a second, by number after five minutes. */
    async delete(tenant: string, name: string): Promise<void> {
      const key = keyOf(tenant, name)
      const [existed] = await redis.wave(
        [{ script: deletePromptScript, keys: [key], args: [] }, ['ZREM', promptNamesKey(tenant), name]],
        SLOW,
      )
      if (existed instanceof Error) throw existed
      pointers.forget(key)
      templates.forget(`${key}#`)
      if (existed === 0) throw unknownPrompt(name)
    },

    /** The messages with their variables filled in. Mostly without Redis: a version is remembered, a label for a second. */
    async render(
      tenant: string,
      name: string,
      { variables = {}, ...wanted }: PromptSelector & { variables?: Record<string, unknown> },
      patience: Patience = createPatience(),
    ): Promise<{ messages: PromptMessage[]; version: number }> {
      const key = keyOf(tenant, name)
      const version =
        wanted.version !== undefined && wanted.label === undefined
          ? wanted.version
          : select(name, await pointers.get(key, () => readPointers(tenant, name, patience)), wanted)
      const { render } = await templates.get(`${key}#${version}`, () =>
        readTemplate(tenant, name, version, patience),
      )
      return { messages: render(variables), version }
    },

    /**
     * `render` for a completion's `prompt`.
     *
     * Errors: those of `render`, with `param` under `prompt`: `prompt_not_found`, `prompt_version_not_found`,
     * `prompt_label_not_found` (404); `unknown_variable`, `missing_variable`, `invalid_variable`, `prompt_too_large` (400);
     * `RedisUnavailableError` (503) when Redis is away and nothing is remembered.
     */
    async expand(tenant: string, { id, ...wanted }: PromptReference, patience?: Patience) {
      try {
        return await prompts.render(tenant, id, wanted, patience)
      } catch (error) {
        if (!(error instanceof HubError) || !error.param) throw error
        const param = `prompt.${error.param === 'name' ? 'id' : error.param}`
        throw new HubError({ ...error.options, param, cause: error.cause })
      }
    },
  }
  return prompts

  async function readPointers(tenant: string, name: string, patience?: Patience): Promise<Pointers> {
    const found = toPointers(await read(keyOf(tenant, name), POINTER_FIELDS, patience))
    if (!found) throw unknownPrompt(name)
    return found
  }

  async function readTemplate(
    tenant: string,
    name: string,
    version: number,
    patience?: Patience,
  ): Promise<CompiledVersion> {
    const [text, first] = await read(keyOf(tenant, name), [`v:${version}`, 'first'], patience)
    if (!text) throw first ? unknownVersion(name, version) : unknownPrompt(name)
    const template: StoredVersion = JSON.parse(text)
    return { template, render: compileTemplate(template), size: text.length }
  }

  async function read(key: string, fields: readonly string[], patience?: Patience) {
    const ask = (timeoutMs: number) => send(redis, ['HMGET', key, ...fields], { timeoutMs })
    return (await (patience ? patience.wait(ask) : ask(SLOW.timeoutMs))) as (string | null)[]
  }
}

export type Prompts = ReturnType<typeof createPrompts>

/** Administration may wait longer than a hot path. */
const SLOW = { timeoutMs: 2_000 }

type StoredVersion = PromptTemplate & { created_at: string }

interface CompiledVersion {
  template: StoredVersion
  render: ReturnType<typeof compileTemplate>
  size: number
}

const shown = (
  name: string,
  version: number,
  { messages, variables, created_at }: StoredVersion,
  labels: Record<string, number>,
) => ({ name, version, labels: labelsOf(labels, version), messages, variables, created_at })

function keyOf(tenant: string, name: string): string {
  if (NAME.test(name)) return promptKey(tenant, name)
  const message = 'name: must be 1 to 64 of A-Z a-z 0-9 _ . -'
  throw new HubError({ code: 'invalid_value', status: 400, message, param: 'name' })
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

function full(name: string, what: string): HubError {
  const message =
    what === 'versions'
      ? `The prompt ${name} has ${MAX_VERSIONS} versions. Delete it, or go on under another name.`
      : `The prompt ${name} can have ${MAX_LABELS} labels. Delete one first.`
  return new HubError({ code: `too_many_${what}`, status: 409, message, param: what })
}

const tooLarge = () =>
  new HubError({
    code: 'template_too_large',
    status: 400,
    message: `The template is larger than ${MAX_TEMPLATE_BYTES} bytes as JSON.`,
    param: 'messages',
  })

const idempotencyMismatch = () =>
  new HubError({
    code: 'idempotency_mismatch',
    status: 422,
    message: 'This Idempotency-Key was used with another body. Send the same body, or another key.',
  })
