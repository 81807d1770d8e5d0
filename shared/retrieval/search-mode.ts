import { HubError } from '../errors.ts'
import type { Index } from './indexes.ts'
import type { SearchMode, SearchRequest } from './search.ts'

/** By what is searched; 400 where the index or the request lacks what that needs. */
export function modeOf(
  { query, vector, mode, min_score }: SearchRequest,
  { embeddingModel, vectors }: Index,
): SearchMode {
  const refuse = (param: string, message: string): never => {
    throw new HubError({ code: 'invalid_value', status: 400, message, param })
  }
  const canEmbed = embeddingModel !== null
  const hasVector = vector !== undefined || canEmbed
  const usual = query === undefined ? 'vector' : hasVector ? 'hybrid' : 'text'
  const chosen = mode ?? usual
  if (query === undefined && chosen !== 'vector')
    refuse('query', `\`${chosen}\` search needs a \`query\`: words cannot be read out of a vector.`)
  if (chosen !== 'text' && !hasVector)
    refuse(
      'vector',
      `The index \`${vectors.name}\` has no embedding model: send a \`vector\`, or search by text.`,
    )
  if (chosen === 'text' && min_score !== undefined)
    refuse('min_score', '`min_score` is vector similarity, which text search does not know.')
  return chosen
}
