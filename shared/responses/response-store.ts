import { HubError } from '../errors.ts'
import { RESPONSE_TTL_SECONDS, responseKey } from '../keys.ts'
import type { Redis, Reply } from '../ports/redis.ts'
import type { ResponseObject } from './response-assembly.ts'
import type { InputItem, KeptItem } from './response-schema.ts'

/** A response, what it was asked, and the responses before it, oldest first. */
export interface StoredResponse {
  response: ResponseObject
  input: KeptItem[]
  ancestors: string[]
}

/** What a request goes on from. */
export interface Conversation {
  /** Ids of its responses, oldest first. */
  ancestors: string[]
  items: KeptItem[]
}

/** What a page of `input_items` is asked for. */
export interface ItemPage {
  limit: number
  order: 'asc' | 'desc'
  /** The last id of the page before. */
  after?: string
}

/** A conversation past this many responses, and a response past this many characters, is not kept. */
const MOST_RESPONSES = 500
const MOST_CHARS = 4 * 1024 * 1024

const PATIENT = { timeoutMs: 2_000 }

/** Responses that can be continued: one key each, with its own items only. A conversation is read in two waves, however long it is. */
export function createResponseStore({ redis }: { redis: Redis }) {
  return {
    /** False where it was not kept: Redis was away, or it is too large. An outage must not stop the answer. */
    async put(tenant: string, stored: StoredResponse): Promise<boolean> {
      const text = JSON.stringify(stored)
      if (text.length > MOST_CHARS || stored.ancestors.length > MOST_RESPONSES) return false
      const key = responseKey(tenant, stored.response.id)
      const replies = await redis.wave([['SET', key, text, 'EX', RESPONSE_TTL_SECONDS]]).catch(() => [])
      return replies[0] === 'OK'
    },

    /** Throws 404 `response_not_found`. */
    async get(tenant: string, id: string): Promise<StoredResponse> {
      const [reply] = await redis.wave([['GET', responseKey(tenant, id)]], PATIENT)
      return read(reply) ?? fail(unknown(id))
    },

    async delete(tenant: string, id: string): Promise<void> {
      const [removed] = await redis.wave([['UNLINK', responseKey(tenant, id)]], PATIENT)
      if (removed instanceof Error) throw removed
      if (removed === 0) throw unknown(id)
    },

    /** The items of a response and of all before it; their time begins anew. Throws 400 `previous_response_not_found`. */
    async conversation(tenant: string, id: string): Promise<Conversation> {
      const [last] = await touch(tenant, [id])
      const { ancestors } = last!
      const stored = [...(await touch(tenant, ancestors)), last!]
      const items = stored.flatMap(({ input, response }) => [...input, ...response.output])
      return { ancestors: [...ancestors, id], items }
    },

    /** The items with what they refer to in its place, and without reasoning. Throws 404 `item_not_found`. */
    async resolve(tenant: string, input: readonly InputItem[]): Promise<KeptItem[]> {
      const wanted = new Map<string, StoredResponse | undefined>()
      for (const item of input) if (item.type === 'item_reference') wanted.set(ownerOf(item.id), undefined)
      const ids = [...wanted.keys()].filter(Boolean)
      if (ids.length > 0) {
        const replies = await redis.wave(
          ids.map((id) => ['GET', responseKey(tenant, id)]),
          PATIENT,
        )
        for (const [at, id] of ids.entries()) wanted.set(id, read(replies[at]))
      }
      return input.flatMap((item, at) => {
        if (item.type !== 'item_reference') return item.type === 'reasoning' ? [] : [item]
        if (item.id.startsWith('rs_')) return []
        const { input = [], response } = wanted.get(ownerOf(item.id)) ?? {}
        const found = [...input, ...(response?.output ?? [])].find(({ id }) => id === item.id)
        return [found ?? fail(unknownItem(item.id, at))]
      })
    },
  }

  async function touch(tenant: string, ids: readonly string[]): Promise<StoredResponse[]> {
    if (ids.length === 0) return []
    const replies = await redis.wave(
      ids.map((id) => ['GETEX', responseKey(tenant, id), 'EX', RESPONSE_TTL_SECONDS]),
      PATIENT,
    )
    return ids.map((id, at) => read(replies[at]) ?? fail(unknownPrevious(id)))
  }
}

export type ResponseStore = ReturnType<typeof createResponseStore>

/** Those items of a request that have no id get one that tells where they are. */
export function withIds(id: string, input: readonly KeptItem[]): KeptItem[] {
  return input.map((item, at) => ({ ...item, id: item.id ?? `${PREFIXES[item.type]}_${ownId(id)}_i${at}` }))
}

/** One page of a response's own input. Throws 400 for a cursor that is none of its ids. */
export function pageOf({ input }: StoredResponse, { limit, order, after }: ItemPage) {
  const items = order === 'asc' ? input : input.toReversed()
  const from = after === undefined ? 0 : items.findIndex(({ id }) => id === after) + 1
  if (after !== undefined && from === 0) {
    const message = `after: ${after} is none of this response's input items.`
    throw new HubError({ code: 'invalid_value', status: 400, message, param: 'after' })
  }
  const data = items.slice(from, from + limit)
  return {
    object: 'list' as const,
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: from + limit < items.length,
  }
}

const PREFIXES = { message: 'msg', function_call: 'fc', function_call_output: 'fco', file_search_call: 'fs' }

const ownId = (responseId: string) => responseId.replace('resp_', '')

/** An item's id holds that of its response. */
const ownerOf = (itemId: string) => {
  const own = /^[a-z]+_(.+)_i?\d+$/.exec(itemId)?.[1]
  return own === undefined ? '' : `resp_${own}`
}

function read(reply: Reply | Error | undefined): StoredResponse | undefined {
  if (reply instanceof Error) throw reply
  return typeof reply === 'string' ? JSON.parse(reply) : undefined
}

function fail(error: HubError): never {
  throw error
}

const unknown = (id: string) =>
  new HubError({
    code: 'response_not_found',
    status: 404,
    message: `There is no response ${id}: it was deleted, not stored, or it expired.`,
    param: 'id',
  })

const unknownPrevious = (id: string) =>
  new HubError({
    code: 'previous_response_not_found',
    status: 400,
    message: `There is no response ${id} to go on from: it was deleted, not stored, or it expired. Send the conversation as \`input\`.`,
    param: 'previous_response_id',
  })

const unknownItem = (id: string, at: number) =>
  new HubError({
    code: 'item_not_found',
    status: 404,
    message: `There is no item ${id}: its response was deleted, not stored, or it expired. Send the item itself.`,
    param: `input[${at}].id`,
  })
