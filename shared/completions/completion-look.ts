import type { Admission, Caller, Claim } from '../admission.ts'
import { HubError } from '../errors.ts'
import { type CompletionKeys, completionKeys } from '../keys.ts'
import type { ModelRouter, Route } from '../models/model-router.ts'
import type { ChatRequest } from '../ports/chat.ts'
import type { Redis } from '../ports/redis.ts'
import type { PromptReference, Prompts } from '../prompts/prompts.ts'
import { type Replies, splitReplies, together } from '../send.ts'
import type { CacheDirectives } from './cache-directives.ts'
import { completionHash } from './completion-hash.ts'
import type { Patience } from './patience.ts'

/** As the caller sends it. */
export interface CompletionRequest {
  model: string
  /** May be left out where there is a `prompt`, whose messages go before them. */
  messages?: readonly object[]
  prompt?: PromptReference | null
  stream?: boolean | null
  stream_options?: { include_usage?: boolean } | null
  [field: string]: unknown
}

/** What is known of a request before any provider is called. */
export interface Looked {
  tenant: string
  caller: Caller
  /** `RateLimit`, where the caller has limits. */
  headers: Record<string, string>
  /** As it goes to the provider. */
  request: ChatRequest
  route: Route
  keys: CompletionKeys
  /** The stored entry; null where there is none or it was not to be read; an error where the cache is away. */
  found: string | null | Error
}

export interface LookOptions {
  /** State: keys, limits, routes. */
  redis: Redis
  /** Entries. May be the same port. */
  cacheRedis: Redis
  admission: Admission
  router: ModelRouter
  prompts: Prompts
}

/** The scope a key needs; also the function's name. */
const SCOPE = 'cache-complete'

/** Who asks, within which limits, where the model's name leads, and whether the answer is there: one wave. */
export function createLook({ redis, cacheRedis, admission, router, prompts }: LookOptions) {
  return {
    async look(
      {
        claim,
        request: asked,
        directives,
      }: { claim: Claim; request: CompletionRequest; directives: CacheDirectives },
      patience: Patience,
    ): Promise<Looked> {
      const tenant = 'caller' in claim ? claim.caller.tenant : claim.key.tenant
      const { request, routing } = await prepare(tenant, claim, asked, patience)
      const question = await admission.ask(claim)
      let keys = keysOf(tenant, routing.route, request)

      const [replies, entries] = await patience.wait((timeoutMs) =>
        together(
          { redis, calls: [...question.calls, ...routing.calls] },
          { redis: cacheRedis, calls: directives.read ? [['GET', keys.entry]] : [] },
          { timeoutMs },
        ),
      )
      const [ofCaller, ofRoute] = splitReplies(replies, question.calls.length)
      const { caller, headers } = await patience.wait((timeoutMs) =>
        question.settle(ofCaller, SCOPE, timeoutMs),
      )
      const route = routing.settle(ofRoute)
      refuseForeignModel(caller, route)
      let found = entryOf(entries)
      if (route !== routing.route) {
        // The name leads elsewhere since this instance last asked: only the cache is asked again.
        const now = keysOf(tenant, route, request)
        if (directives.read && now.entry !== keys.entry) found = await again(now, patience)
        keys = now
      }
      return { tenant, caller, headers, request, route, keys, found }
    },

    /** Of the entry that answers such a request. */
    async hashOf(tenant: string, asked: CompletionRequest): Promise<string> {
      const request = await withPrompt(tenant, asked)
      const { target } = await router.resolve(tenant, request.model)
      return completionHash(target, request)
    },
  }

  /** A stranger learns nothing about prompts and models: the key is checked before the error is told. */
  async function prepare(tenant: string, claim: Claim, asked: CompletionRequest, patience: Patience) {
    try {
      const request = await withPrompt(tenant, asked, patience)
      return { request, routing: await router.ask(tenant, request.model) }
    } catch (error) {
      await admission.admit(claim, SCOPE)
      throw error
    }
  }

  async function withPrompt(
    tenant: string,
    asked: CompletionRequest,
    patience?: Patience,
  ): Promise<ChatRequest> {
    const { prompt, messages, ...rest } = asked
    if (!prompt) return asked as ChatRequest // the function checked that it has messages
    const expanded = await prompts.expand(tenant, prompt, patience)
    return { ...rest, model: asked.model, messages: [...expanded.messages, ...(messages ?? [])] }
  }

  async function again({ entry }: CompletionKeys, patience: Patience) {
    const look = patience.wait((timeoutMs) => cacheRedis.wave([['GET', entry]], { timeoutMs }))
    return entryOf(await look.catch((error: Error) => error))
  }
}

export type Look = ReturnType<typeof createLook>

const keysOf = (tenant: string, { target }: Route, request: ChatRequest) =>
  completionKeys(tenant, completionHash(target, request))

function entryOf(replies: Replies): string | null | Error {
  const reply = replies instanceof Error ? replies : replies[0]
  return typeof reply === 'string' || reply instanceof Error ? reply : null
}

/** An alias may be named itself, or all that it leads to. */
function refuseForeignModel({ models: allowed }: Caller, { name, models }: Route) {
  if (!allowed || allowed.includes(name) || models.every((model) => allowed.includes(model))) return
  const message = `This key may not use ${name}. It may use: ${allowed.join(', ')}.`
  throw new HubError({ code: 'model_not_allowed', status: 403, message, param: 'model' })
}
