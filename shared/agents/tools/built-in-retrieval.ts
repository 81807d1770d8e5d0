import { readCacheDirectives } from '../../completions/cache-directives.ts'
import { readCompleted } from '../../completions/read-completed.ts'
import type { Ask } from '../../retrieval/ask.ts'
import type { Documents } from '../../retrieval/documents.ts'
import type { Indexes } from '../../retrieval/indexes.ts'
import type { Search } from '../../retrieval/search.ts'
import { type BuiltIns, name, objectOf, text } from './built-in.ts'
import { ok } from './tool-action.ts'

export interface RetrievalToolsOptions {
  search: Search
  ask: Ask
  indexes: Pick<Indexes, 'resolve'>
  documents: Pick<Documents, 'put'>
}

const TOP_K = 5
/** What /v1/ask takes where its caller does not say. */
const ASKED = { top_k: 10, max_context_tokens: 3_000 }
/** Whole results that an answer to the model has room for. */
const MOST_CHARACTERS = 30_000
const DEFAULTS = readCacheDirectives(() => undefined)

/** Search, questions and new documents, as the agent's caller may. */
export function retrievalTools({ search, ask, indexes, documents }: RetrievalToolsOptions) {
  const indexOf = (index: string | undefined): Record<string, object> =>
    index ? {} : { index: name('Name of the index.') }
  const required = (index: string | undefined, ...names: string[]) => (index ? names : ['index', ...names])

  return {
    search: {
      scope: 'search',
      description:
        'Search documents by meaning and by words. Gives passages with the id of their document and a score.',
      parameters: ({ index }) =>
        objectOf(
          {
            ...indexOf(index),
            query: text('What to look for.'),
            top_k: { type: 'integer', minimum: 1, maximum: 50, description: 'How many passages.' },
          },
          required(index, 'query'),
        ),
      async invoke(
        args,
        { index = args.index, filter, mode, min_score, top_k = TOP_K },
        { caller, signal, defer },
      ) {
        const { results } = await search({
          ...{ claim: { caller }, scope: 'search', index, signal, defer },
          request: { query: args.query, filter, mode, min_score, top_k: args.top_k ?? top_k },
        })
        const found = results.map(({ chunk, score }) => ({
          ...{ document_id: chunk.documentId, text: chunk.text, score: rounded(score) },
        }))
        return ok(withRoom(found))
      },
    },

    ask: {
      scope: 'ask',
      description: 'Answer a question from documents. Gives the answer and the passages that it rests on.',
      parameters: ({ index }) =>
        objectOf({ ...indexOf(index), question: text('The question.') }, required(index, 'question')),
      async invoke(args, setting, { caller, signal, defer }) {
        const { index = args.index, filter, mode, model, min_score, top_k = ASKED.top_k } = setting
        const { completed, conclude } = await ask({
          ...{ claim: { caller }, stream: false, directives: DEFAULTS, signal, defer },
          request: { ...ASKED, question: args.question, index, filter, mode, model, min_score, top_k },
        })
        const { answer, found, citations } = await conclude(await readCompleted(completed, signal))
        const cited = citations.map(({ document_id, quote, start, end, score }) => ({
          ...{ document_id, quote, start, end },
          score: rounded(score),
        }))
        return ok({ answer, found, citations: cited })
      },
    },

    add_document: {
      scope: 'search',
      description:
        'Put a document into the index, so that it can be searched. One with the same id is replaced.',
      parameters: ({ index }) =>
        objectOf(
          {
            ...indexOf(index),
            id: text('Names the document.', 512),
            text: text('The document.', 1_000_000),
            metadata: { type: 'object', description: 'Fields to filter by.' },
          },
          required(index, 'text'),
        ),
      async invoke(args, { index = args.index }, { tenant, caller, signal, defer, idempotencyKey }) {
        const where = await indexes.resolve(tenant, index)
        // Made again, it is the same document.
        const document = { id: args.id ?? idempotencyKey, text: args.text, metadata: args.metadata }
        const [written] = await documents.put(where, [document], { caller, signal, defer })
        return ok(written)
      },
    },
  } satisfies BuiltIns
}

const rounded = (score: number) => Math.round(score * 10_000) / 10_000

/** As many as there is room for, whole; the first one always. */
function withRoom(found: readonly object[]) {
  let left = MOST_CHARACTERS
  const results = found.filter((one, i) => {
    left -= JSON.stringify(one).length
    return i === 0 || left > 0
  })
  const omitted = found.length - results.length
  return { results, ...(omitted > 0 && { omitted }) }
}
