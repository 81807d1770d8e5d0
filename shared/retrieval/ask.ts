import type { Claim } from '../admission.ts'
import { createAnswer } from '../completions/answer.ts'
import type { CacheDirectives } from '../completions/cache-directives.ts'
import type { CompletionRequest } from '../completions/completion-look.ts'
import type { Completed, Completions } from '../completions/completions.ts'
import { createPatience } from '../completions/patience.ts'
import type { Filter } from '../filters.ts'
import type { CountTokens } from '../ports/chat.ts'
import { NOT_FOUND } from '../text/source-blocks.ts'
import { type Turn, toAskMessages } from './ask-prompt.ts'
import { type Citation, citationsOf } from './citations.ts'
import type { CitedAnswers } from './cited-answers.ts'
import type { Documents } from './documents.ts'
import type { Index } from './indexes.ts'
import { isRelevant } from './relevance.ts'
import type { Search, SearchMode } from './search.ts'
import { type Source, toSources } from './sources.ts'

interface AskRequest {
  /** Or an alias. */
  index: string
  question: string
  filter?: Filter
  mode?: SearchMode
  /** `provider/model`, a bare name, or a model route. */
  model?: string
  /** What was said before, oldest first. */
  messages?: readonly Turn[]
  /** Chunks to look at. */
  top_k: number
  min_score?: number
  /** Of the sources together. */
  max_context_tokens: number
}

export interface AskCall {
  claim: Claim
  request: AskRequest
  stream: boolean
  directives: CacheDirectives
  signal: AbortSignal
  defer(work: Promise<unknown>): void
}

export interface AskReply {
  answer: string
  citations: Citation[]
  /** Whether the documents hold an answer. */
  found: boolean
  /** As the provider says it; of a cached answer, what it cost when it was made. */
  usage: Record<string, unknown>
  model: string
}

export interface Asked {
  /** `RateLimit`, where the caller has limits. */
  headers: Record<string, string>
  completed: Completed
  /** Of the whole `chat.completion`: the answer with its citations, as the documents are now. */
  conclude(response: string): Promise<AskReply>
}

export interface AskOptions {
  search: Search
  documents: Documents
  complete: Completions
  citedAnswers: CitedAnswers
  countTokens: CountTokens
  defaultModel: string
}

/** Name of the function: what a key's scopes are asked for. */
const SCOPE = 'ask'

const PATIENCE_MS = 2_000

/**
 * Answers a question from the documents of an index, through the completion cache. Where nothing in them is relevant, no
 * model is asked.
 *
 * Errors: those of search and of completions.
 */
export function createAsk({
  search,
  documents,
  complete,
  citedAnswers,
  countTokens,
  defaultModel,
}: AskOptions) {
  return async function ask(call: AskCall): Promise<Asked> {
    const { request, signal, stream, directives } = call
    const { question, messages: history = [], model = defaultModel } = request
    const { results, caller, headers, index } = await search({
      ...{ claim: call.claim, scope: SCOPE, index: request.index, signal, defer: call.defer },
      request: {
        query: standalone(question, history),
        ...{ mode: request.mode, top_k: request.top_k, filter: request.filter, min_score: request.min_score },
      },
    })
    const relevant = results.filter((result) => isRelevant(result, question, history, request.min_score))
    const sources = await toSources(relevant, request.max_context_tokens, countTokens)
    if (sources.length === 0)
      return { headers, completed: notFound(model), conclude: async (text) => toReply(text) }

    const asked: CompletionRequest = {
      model,
      messages: toAskMessages(
        question,
        history,
        sources.map(({ text }) => text),
      ),
      ...(stream && { stream, stream_options: { include_usage: true } }),
    }
    const stored: Promise<unknown>[] = []
    const defer = (work: Promise<unknown>) => {
      stored.push(work)
      call.defer(work)
    }
    // Admitted above: its limits are not to count twice, and its scope is this function's.
    // An answer to a question like this one may rest on other sources: only the same prompt is served again.
    const exact = { ...directives, semantic: undefined }
    const completed = await complete({
      ...{ claim: { caller }, request: asked, directives: exact, defer, endpoint: 'ask' },
    })
    const conclude = async (response: string) => {
      const alive = await current(index, sources, signal)
      const reply = toReply(response, alive)
      const cited = sources.filter((_, i) => reply.citations.some((citation) => citation.source === i + 1))
      if (completed.kind === 'answer' && cited.length > 0) {
        call.defer(
          Promise.allSettled(stored).then(() => citedAnswers.tag(caller.tenant, index, asked, cited)),
        )
      }
      return reply
    }
    return { headers, completed, conclude }
  }

  /** The sources; without a text where the document has changed or gone while the answer was made. */
  async function current(index: Index, sources: readonly Source[], signal: AbortSignal): Promise<Source[]> {
    const patience = createPatience(PATIENCE_MS)
    const firsts = sources.map(({ chunks }) => chunks[0]!)
    const read = await patience.wait((timeoutMs) => documents.read(index, firsts, { timeoutMs, signal }))
    return sources.map((source, i) => (read[i] ? source : { ...source, text: '' }))
  }
}

export type Ask = ReturnType<typeof createAsk>

/** A question that leans on the one before it ("and on Lambda?") is searched for with it. */
function standalone(question: string, history: readonly Turn[]): string {
  const before = history.findLast(({ role }) => role === 'user')
  return before ? `${question}\n${before.content}` : question
}

function toReply(response: string, sources: readonly Source[] = []): AskReply {
  const { choices, usage, model } = JSON.parse(response)
  const said: string = choices?.[0]?.message?.content ?? ''
  const found = said.length > 0 && !said.includes(NOT_FOUND)
  const cited = found ? citationsOf(said, sources) : { answer: said, citations: [] }
  return { ...cited, found, usage: usage ?? {}, model }
}

/** The honest answer, in the shape of a completion that nobody was asked for. */
function notFound(model: string): Completed {
  const answer = createAnswer(() => {})
  const attempt = answer.begin()
  attempt.push({
    form: 'completion',
    data: JSON.stringify({
      ...{ id: 'chatcmpl-not-found', object: 'chat.completion', created: 0, model },
      choices: [{ index: 0, message: { role: 'assistant', content: NOT_FOUND }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
    }),
  })
  answer.end()
  return { kind: 'answer', answer, headers: {} }
}
