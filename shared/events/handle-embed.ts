import { z } from 'zod'
import type { Admission } from '../admission.ts'
import { HubError } from '../errors.ts'
import { NAME } from '../keys.ts'
import type { DocumentInput, Documents } from '../retrieval/documents.ts'
import type { Indexes } from '../retrieval/indexes.ts'
import { toFailure, together } from './failure.ts'
import type { EventHandler, Handled, HandledEvent } from './handlers.ts'
import { valueAt } from './value-at.ts'

export interface EmbedHandlerOptions {
  documents: Pick<Documents, 'put'>
  indexes: Pick<Indexes, 'resolve'>
  admission: Pick<Admission, 'recall'>
}

const path = z
  .string()
  .min(1)
  .max(200)
  .optional()
  .describe('dotted path into the event, such as `data.article.body`')

const EmbedSettings = z.strictObject({
  index: z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -'),
  id_path: path.describe('the document’s id; by default `subject`, else the event’s id'),
  text_path: path.describe('its text; by default `data.text`, or `data` where that is text'),
  metadata_path: path.describe('an object; by default `data.metadata`'),
})
type EmbedSettings = z.output<typeof EmbedSettings>

/**
 * Puts documents into an index, in the name of the stream's tenant, whose limits and budget pay for it. Of several events of one
 * document in a batch the last one counts; where their order matters, the stream needs a key. Result: `{index, document_id, chunks}`.
 */
export function createEmbedHandler({
  documents,
  indexes,
  admission,
}: EmbedHandlerOptions): EventHandler<EmbedSettings> {
  return {
    settings: EmbedSettings,
    batch: 16,
    concurrency: 2,
    calls: 40,
    async handle(events, settings, { tenant, signal }) {
      const { index: name } = settings
      const caller = await admission.recall(tenant, null, 'search')
      const index = await indexes.resolve(tenant, name)
      const deferred: Promise<unknown>[] = []
      const call = { caller, signal, defer: (work: Promise<unknown>) => void deferred.push(work) }

      const put = async (some: readonly Prepared[]): Promise<Handled[]> => {
        const last = new Map(some.map(({ document }) => [document.id, document]))
        const written = await documents.put(index, [...last.values()], call)
        const chunks = new Map(written.map((one) => [one.id, one.chunks]))
        return some.map(({ document: { id } }) => ({
          result: { index: name, document_id: id, chunks: chunks.get(id) },
        }))
      }
      try {
        const prepared = events.map((event) => prepare(event, settings))
        const fit = prepared.filter((one) => 'document' in one)
        const handled = await together(fit, signal, put)
        const byDocument = new Map(fit.map((one, i) => [one, handled[i]!]))
        return prepared.map((one) => ('document' in one ? byDocument.get(one)! : one))
      } finally {
        await Promise.allSettled(deferred)
      }
    },
  }
}

interface Prepared {
  document: DocumentInput & { id: string }
}

function prepare({ event }: HandledEvent, settings: EmbedSettings): Prepared | Handled {
  const { id_path, text_path, metadata_path } = settings
  const { data } = event
  const id = id_path === undefined ? (event.subject ?? event.id) : valueAt(event, id_path)
  const preset = typeof data === 'string' ? data : valueAt(event, 'data.text')
  const text = text_path === undefined ? preset : valueAt(event, text_path)
  const metadata = valueAt(event, metadata_path ?? 'data.metadata') ?? {}
  if (typeof id !== 'string' && typeof id !== 'number') return unfit('id', id_path ?? 'subject')
  if (typeof text !== 'string') return unfit('text', text_path ?? 'data.text')
  if (typeof metadata !== 'object' || Array.isArray(metadata))
    return unfit('metadata', metadata_path ?? 'data.metadata')
  return { document: { id: String(id), text, metadata: metadata as Record<string, unknown> } }
}

const unfit = (what: string, param: string) =>
  toFailure(
    new HubError({
      code: 'invalid_event',
      status: 400,
      message: `The event has no ${what} of a document at \`${param}\`. The handler's \`${what}_path\` says where it is.`,
      param,
    }),
  )
