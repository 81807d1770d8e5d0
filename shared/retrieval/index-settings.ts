import type { Embeddings } from '../embeddings/embeddings.ts'
import { HubError } from '../errors.ts'
import type { EmbeddingTarget } from '../ports/embedder.ts'
import type { WriteCall } from './documents.ts'
import type { Index, IndexSettings } from './indexes.ts'

/** What is decided when an index is made, whatever the hour. */
export type IndexDefinition = Omit<Index, 'createdAt'>

const DEFAULT_CHUNKING = { size: 1_000, overlap: 150 }
const MAX_FIELDS = 64
const FIELD_NAME = /^[A-Za-z0-9][A-Za-z0-9_]{0,63}$/

/** Fields of a chunk's hash that the stores keep for themselves; so are all that begin with `_`. */
const RESERVED = ['content', 'embedding']

/** 400 with the path in `param` for settings that no store could keep. */
function checkSettings({ fields, hot_tag, chunking }: IndexSettings): void {
  const names = Object.keys(fields)
  if (names.length > MAX_FIELDS) throw invalid('fields', `An index has at most ${MAX_FIELDS} fields.`)
  for (const name of names) {
    const param = `fields.${name}`
    if (!FIELD_NAME.test(name))
      throw invalid(param, 'A field is named with 1 to 64 of A-Z a-z 0-9 _, and does not begin with _.')
    if (RESERVED.includes(name))
      throw invalid(param, `\`${name}\` is the hub’s own: name the field otherwise.`)
  }
  const hot = hot_tag === undefined ? 'tag' : (Object.hasOwn(fields, hot_tag) && fields[hot_tag]) || 'none'
  if (hot !== 'tag') throw invalid('hot_tag', `\`${hot_tag}\` is no declared field of type \`tag\`.`)
  if (chunking && chunking.overlap > chunking.size / 3)
    throw invalid('chunking.overlap', 'Neighbours share at most a third of a chunk’s size.')
}

/**
 * The settings with their defaults. The length of the vectors is the embedding model's own where none is asked for; where
 * nothing says it, one word is embedded.
 */
export async function toDefinition(
  { tenant, name }: { tenant: string; name: string },
  settings: IndexSettings,
  { embeddings, partitions, call }: { embeddings: Embeddings; partitions: number; call: WriteCall },
): Promise<IndexDefinition> {
  checkSettings(settings)
  const { fields, metric = 'cosine', hot_tag, quantization = 'none', chunking = DEFAULT_CHUNKING } = settings
  const model = await modelOf(settings, embeddings, call)
  return {
    vectors: {
      ...{ tenant, name, dimensions: model.dimensions, metric, quantization, partitions },
      fields: Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))),
      ...(hot_tag !== undefined && { hotTag: hot_tag }),
    },
    embeddingModel: model.name,
    ...(model.asked !== undefined && { embeddingDimensions: model.asked }),
    chunking: { size: chunking.size, overlap: chunking.overlap },
  }
}

/** Whether an index is what these settings ask for. */
export const isSame = ({ createdAt: _, ...index }: Index, definition: IndexDefinition) =>
  JSON.stringify(sorted(index)) === JSON.stringify(sorted(definition))

async function modelOf(
  { embedding_model, dimensions }: IndexSettings,
  embeddings: Embeddings,
  call: WriteCall,
) {
  if (embedding_model === null) {
    if (dimensions !== undefined) return { name: null, dimensions }
    throw invalid('dimensions', 'Without an embedding model the index must say how long its vectors are.')
  }
  const target = resolve(embeddings, embedding_model)
  const name = `${target.provider}/${target.model}`
  const asked = dimensions === target.dimensions ? undefined : dimensions
  const known = dimensions === undefined ? target.dimensions : undefined
  if (known !== undefined) return { name, dimensions: known }
  if (dimensions !== undefined && asked === undefined) return { name, dimensions }
  const probe = { ...call, model: name, texts: ['length'], dimensions: asked, purpose: 'document' as const }
  // 400 with `dimensions` where the model makes no vectors of that length.
  return { name, asked, dimensions: (await embeddings.embed(probe)).vectors[0]!.length }
}

function resolve(embeddings: Embeddings, model: string | undefined): EmbeddingTarget {
  try {
    return embeddings.resolve(model)
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    throw new HubError({ ...error.options, param: 'embedding_model', cause: error.cause })
  }
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, part]) => [key, sorted(part)])
}

const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${message}`, param })
