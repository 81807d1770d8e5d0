import { z } from 'zod'
import { Refusal } from './errors.ts'
import { type Metadata, type Passes, toPredicate } from './filter.ts'

/** https://upstash.com/docs/vector/help/faq: a batch, a query and the metadata of a vector are bounded. */
const MOST_VECTORS = 1_000
const MOST_RESULTS = 1_000
const MOST_METADATA_BYTES = 48 * 1024

export interface Entry {
  id: string
  vector: Float32Array
  metadata?: Metadata
  data?: string
}

/** What is absent stays as it is. */
export type Update = Pick<Entry, 'id'> & {
  [name in 'vector' | 'metadata' | 'data']: Entry[name] | undefined
} & { mode: 'OVERWRITE' | 'PATCH' }

export interface Include {
  includeVectors: boolean
  includeMetadata: boolean
  includeData: boolean
}

export interface Query extends Include {
  vector: Float32Array
  topK: number
  passes?: Passes
}

const Id = z.union([z.string().min(1), z.number()]).transform(String)
const metadata = z
  .record(z.string(), z.unknown())
  .refine(
    (value) => Buffer.byteLength(JSON.stringify(value)) <= MOST_METADATA_BYTES,
    `is larger than ${MOST_METADATA_BYTES} bytes`,
  )
const Numbers = z.array(z.number())
/** Only dense vectors: the server refuses what it would otherwise have to leave out. */
const dense = { sparseVector: z.undefined({ error: 'is not allowed: this index is dense' }).optional() }

const UpsertBody = z.object({
  id: Id,
  vector: Numbers,
  metadata: metadata.nullish(),
  data: z.string().nullish(),
  ...dense,
})

const UpdateBody = z
  .object({
    id: Id,
    vector: Numbers.nullish(),
    metadata: metadata.nullish(),
    data: z.string().nullish(),
    metadataUpdateMode: z.enum(['OVERWRITE', 'PATCH']).default('OVERWRITE'),
    ...dense,
  })
  .refine(
    ({ vector, metadata, data }) => vector != null || metadata != null || data != null,
    'needs at least one of vector, metadata and data',
  )

const include = {
  includeVectors: z.boolean().default(false),
  includeMetadata: z.boolean().default(false),
  includeData: z.boolean().default(false),
}

const QueryBody = z.object({
  vector: Numbers,
  topK: z.int().min(1).max(MOST_RESULTS).default(10),
  filter: z.string().default(''),
  ...include,
  ...dense,
})

const Selection = z.object({
  ids: z.array(Id).optional(),
  prefix: z.string().min(1).optional(),
  filter: z.string().min(1).optional(),
})

/** Reads the bodies of requests; what is not right is refused with 422, as Upstash refuses wrong dimensions. */
export function createRequests(dimension: number) {
  function toVector(numbers: readonly number[]): Float32Array {
    if (numbers.length !== dimension)
      throw new Refusal(422, `Invalid vector dimension: ${numbers.length}, expected: ${dimension}`)
    const vector = Float32Array.from(numbers)
    if (!vector.every(Number.isFinite)) throw new Refusal(422, 'Invalid vector: a number is too large')
    if (vector.every((number) => number === 0))
      throw new Refusal(422, 'Invalid vector: all zeros have no cosine similarity')
    return vector
  }

  function toQuery(body: z.output<typeof QueryBody>): Query {
    const { vector, filter, sparseVector: _, ...rest } = body
    return {
      ...rest,
      vector: toVector(vector),
      ...(filter.trim() && { passes: toPredicate(filter) }),
    }
  }

  return {
    upsert(body: unknown): Entry[] {
      if (Array.isArray(body) && body.length > MOST_VECTORS)
        throw new Refusal(422, `Too many vectors: ${body.length}, at most: ${MOST_VECTORS}`)
      const entries = Array.isArray(body) ? body : [body]
      return entries
        .map((entry) => read(UpsertBody, entry))
        .map(({ id, vector, metadata, data }) => ({
          id,
          vector: toVector(vector),
          ...(metadata && { metadata }),
          ...(data != null && { data }),
        }))
    },

    update(body: unknown): Update {
      const { id, vector, metadata, data, metadataUpdateMode } = read(UpdateBody, body)
      return {
        ...{ id, metadata: metadata ?? undefined, data: data ?? undefined, mode: metadataUpdateMode },
        vector: vector ? toVector(vector) : undefined,
      }
    },

    /** One query, or several where an array of more than one came. */
    query(body: unknown): Query | Query[] {
      if (!Array.isArray(body)) return toQuery(read(QueryBody, body))
      if (body.length === 0) throw new Refusal(422, 'Invalid request: no query')
      const queries = body.map((query) => toQuery(read(QueryBody, query)))
      return queries.length === 1 ? queries[0]! : queries
    },

    /** Seconds that a resumable query is kept without being resumed. */
    maxIdle: (body: unknown) =>
      read(z.object({ maxIdle: z.int().min(1).max(86_400).default(3_600) }), body).maxIdle,

    resume: (body: unknown) =>
      read(z.object({ uuid: z.string(), additionalK: z.int().min(1).max(MOST_RESULTS) }), body),
    stop: (body: unknown) => read(z.object({ uuid: z.string() }), body),

    delete(body: unknown) {
      const selection = read(Selection, body)
      if (Object.values(selection).filter((one) => one !== undefined).length !== 1) {
        throw new Refusal(422, 'Only and only one of the ids, prefix, or filter must be provided.')
      }
      return selection
    },

    fetch(body: unknown) {
      const { ids, prefix, ...rest } = read(
        z.object({ ids: z.array(Id).optional(), prefix: z.string().min(1).optional(), ...include }),
        body,
      )
      if ((ids === undefined) === (prefix === undefined)) {
        throw new Refusal(422, 'Only one of ids or prefix must be provided.')
      }
      return { ids, prefix, include: rest }
    },

    range(body: unknown) {
      const { cursor, limit, prefix, ...rest } = read(
        z.object({
          cursor: z.coerce.number().int().min(0),
          limit: z.int().min(1).max(MOST_RESULTS),
          prefix: z.string().optional(),
          ...include,
        }),
        body,
      )
      return { cursor, limit, prefix: prefix ?? '', include: rest }
    },
  }
}

function read<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const { success, data, error } = schema.safeParse(body)
  if (success) return data
  const [issue] = error.issues
  const path = z.core.toDotPath(issue!.path)
  throw new Refusal(422, `Invalid request: ${path && `${path}: `}${issue!.message}`)
}
