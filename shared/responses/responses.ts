import type { Admission } from '../admission.ts'
import type { CompletionRequest } from '../completions/completion-look.ts'
import type { Completed, CompletionCall, Completions } from '../completions/completions.ts'
import { HubError } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Clock } from '../ports/clock.ts'
import { type FileSearch, type Found, withSources } from './file-search.ts'
import { type ResponseObject, toResponse } from './response-assembly.ts'
import type { ResponseRequest } from './response-schema.ts'
import { type Conversation, type ResponseStore, withIds } from './response-store.ts'
import { toCompletionRequest } from './to-completion-request.ts'

export interface ResponseCall extends Omit<CompletionCall, 'request' | 'endpoint'> {
  request: ResponseRequest
  signal: AbortSignal
}

/** A response on its way. */
export interface Responding {
  completed: Completed
  /** `in_progress`; its reader fills it in. */
  response: ResponseObject
  /** What files said, where they were searched. */
  found?: Found
  /** Once it is whole: so that it can be continued. Where it could not be kept, `store` says so. */
  keep(): Promise<void>
}

export interface ResponsesOptions {
  complete: Completions
  admission: Admission
  store: ResponseStore
  searchFiles: FileSearch
  clock: Clock
}

/** The scope a key needs; also the function's name. */
const SCOPE = 'cache-complete'

const asking = (request: CompletionRequest) => ({ request, endpoint: 'responses' as const })

const NOTHING: Conversation = { ancestors: [], items: [] }

/**
 * OpenAI's responses over chat completions, so that both share cache, limits, budgets and routes.
 *
 * Errors: those of completions; 400 `previous_response_not_found`, 404 `item_not_found`.
 */
export function createResponses({ complete, admission, store, searchFiles, clock }: ResponsesOptions) {
  return {
    async respond({ request, signal, ...call }: ResponseCall): Promise<Responding> {
      const { claim } = call
      const tenant = 'caller' in claim ? claim.caller.tenant : claim.key.tenant
      const { conversation, input, asked } = await prepare()
      const found = await search()
      const completed = found ? await completeWith(found) : await complete({ ...call, ...asking(asked) })
      const id = `resp_${newId()}`
      const response = toResponse(id, request, clock.now())
      return {
        ...{ completed, response, found },
        async keep() {
          if (!response.store) return
          const { ancestors } = conversation
          response.store = await store.put(tenant, { response, input: withIds(id, input), ancestors })
        },
      }

      /** A stranger learns nothing about what is stored: the key is checked before the error is told. */
      async function prepare() {
        try {
          const { previous_response_id: previous, input: own = [] } = request
          const [conversation, input] = await Promise.all([
            previous ? store.conversation(tenant, previous) : NOTHING,
            store.resolve(tenant, own),
          ])
          return { conversation, input, asked: toCompletionRequest(request, conversation.items, input) }
        } catch (error) {
          await admission.admit(claim, SCOPE)
          throw error
        }
      }

      async function search(): Promise<Found | undefined> {
        const tool = request.tools?.find((one) => one.type === 'file_search')
        if (!tool) return undefined
        const shown = request.include?.includes('file_search_call.results') ?? false
        const said = [...conversation.items, ...input]
        const found = await searchFiles({ claim, tool, conversation: said, shown, signal, defer: call.defer })
        if (found.caller.scopes && !found.caller.scopes.has(SCOPE)) throw scopeMissing(SCOPE)
        return found
      }

      async function completeWith(found: Found): Promise<Completed> {
        const messages = withSources(asked.messages ?? [], found.sources)
        const stored: Promise<unknown>[] = []
        const defer = (work: Promise<unknown>) => {
          stored.push(work)
          call.defer(work)
        }
        // An answer to a question like this one may rest on other sources: only the same prompt is served again.
        const directives = { ...call.directives, semantic: undefined }
        const told = { ...asked, messages }
        const completed = await complete({
          ...{ ...call, ...asking(told), claim: { caller: found.caller }, directives, defer },
        })
        if (completed.kind === 'answer' && found.sources.length > 0) {
          call.defer(Promise.allSettled(stored).then(() => found.tag(told)))
        }
        return { ...completed, headers: { ...found.headers, ...completed.headers } }
      }
    },

    get: store.get,
    delete: store.delete,
  }
}

export type Responses = ReturnType<typeof createResponses>

const scopeMissing = (scope: string) =>
  new HubError({ code: 'scope_missing', status: 403, message: `This key lacks the scope \`${scope}\`.` })
