import type { Embeddings } from '../../embeddings/embeddings.ts'
import { HubError } from '../../errors.ts'
import type { PipelineCall } from './pipeline-call.ts'
import type { PlannedEmbedding } from './plan.ts'
import { invalid } from './value.ts'
import type { OpenRow } from './windows.ts'

interface EmbedOptions<Row> extends PipelineCall {
  /** Told of rows whose text cannot be embedded. */
  fail(row: Row, error: unknown): void
}

/** Each of these embeddings for all rows at once, through the cache, paid for by the caller. */
export async function embedRows<Row extends OpenRow>(
  embeddings: Embeddings,
  planned: readonly PlannedEmbedding[],
  rows: readonly Row[],
  { fail, ...call }: EmbedOptions<Row>,
): Promise<void> {
  await Promise.all(
    planned.map(async ({ path, from, to, model, width, dimensions }) => {
      const { longest = Number.POSITIVE_INFINITY } = embeddings.resolve(model)
      const textOf = ({ values }: Row) => values[from] as string
      const fit = rows.filter((row) => {
        const { length } = textOf(row)
        if (length > 0 && length <= longest) return true
        const most = length === 0 ? 'is empty' : `has ${length} characters; ${model} takes ${longest}`
        fail(row, invalid(path, `the text ${most}`))
        return false
      })
      if (fit.length === 0) return
      const { vectors } = await embeddings.embed({
        ...{ ...call, model, dimensions, texts: fit.map(textOf), isGiven: true },
      })
      for (const [n, row] of fit.entries()) {
        const vector = vectors[n]!
        if (vector.length !== width) throw otherLength(path, model, vector.length, width)
        row.values[to] = width === 1 ? vector[0]! : Array.from(vector)
      }
    }),
  )
}

const otherLength = (path: string, model: string, length: number, width: number) =>
  new HubError({
    code: 'dimensions_mismatch',
    status: 422,
    message: `${path}: ${model} makes vectors of ${length} numbers, and \`dimensions\` says ${width}.`,
    param: `${path}.dimensions`,
  })
