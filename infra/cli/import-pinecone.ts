import { getJson, type ImportedRecord, type ImportSource, isVector } from './import-records.ts'

/** The API's version that these shapes are of. */
const VERSION = '2025-10'

interface Listed {
  vectors?: { id: string }[]
  pagination?: { next?: string }
}

/** Pinecone's data plane: `GET /vectors/list` gives ids page by page (of serverless indexes), `GET /vectors/fetch` their vectors. */
export const pinecone: ImportSource = {
  async *fetch({ url, key, namespace, signal }) {
    const headers = { ...(key && { 'api-key': key }), 'x-pinecone-api-version': VERSION }
    let next: string | undefined
    do {
      const list = new URL('/vectors/list', url)
      list.searchParams.set('limit', '100')
      if (namespace !== undefined) list.searchParams.set('namespace', namespace)
      if (next !== undefined) list.searchParams.set('paginationToken', next)
      const page = (await getJson(list, headers, signal)) as Listed
      const ids = (page.vectors ?? []).map(({ id }) => id)
      if (ids.length > 0) {
        const fetching = new URL('/vectors/fetch', url)
        for (const id of ids) fetching.searchParams.append('ids', id)
        if (namespace !== undefined) fetching.searchParams.set('namespace', namespace)
        const { vectors = {} } = (await getJson(fetching, headers, signal)) as {
          vectors?: Record<string, unknown>
        }
        yield ids.flatMap((id) => toRecord(vectors[id]) ?? [])
      }
      next = page.pagination?.next || undefined
    } while (next !== undefined)
  },
  read: toRecord,
}

function toRecord(value: unknown): ImportedRecord | undefined {
  const { id, values, metadata } = (value ?? {}) as Record<string, unknown>
  if (typeof id !== 'string') return undefined
  return {
    id,
    vector: isVector(values) ? values : undefined,
    metadata: (metadata ?? {}) as Record<string, unknown>,
  }
}
