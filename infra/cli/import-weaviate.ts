import { UsageError } from './command.ts'
import { getJson, type ImportedRecord, type ImportSource, isVector } from './import-records.ts'

/** Weaviate's REST API: `GET /v1/objects?class=…&include=vector&after=<id>`, a cursor over ids. `namespace` is the class. */
export const weaviate: ImportSource = {
  async *fetch({ url, key, namespace, vectorName, signal }) {
    if (namespace === undefined) throw new UsageError('--class is missing: which of Weaviate’s collections.')
    const headers: Record<string, string> = key ? { authorization: `Bearer ${key}` } : {}
    let after = ''
    for (;;) {
      const list = new URL('/v1/objects', url)
      list.search = new URLSearchParams({
        class: namespace,
        include: 'vector',
        limit: '100',
        after,
      }).toString()
      const { objects } = (await getJson(list, headers, signal)) as { objects?: { id: string }[] | null }
      if (!objects?.length) return
      yield objects.flatMap((object) => read(object, { vectorName }) ?? [])
      after = objects.at(-1)!.id
    }
  },
  read,
}

function read(value: unknown, { vectorName }: { vectorName?: string }): ImportedRecord | undefined {
  const { id, properties, vector, vectors } = (value ?? {}) as Record<string, unknown>
  if (typeof id !== 'string' || typeof properties !== 'object') return undefined
  const named = (vectors ?? {}) as Record<string, unknown>
  const chosen = vectorName === undefined && isVector(vector) ? vector : named[vectorName ?? onlyName(named)]
  return {
    id,
    vector: isVector(chosen) ? chosen : undefined,
    metadata: (properties ?? {}) as Record<string, unknown>,
  }
}

function onlyName(named: Record<string, unknown>): string {
  const names = Object.keys(named)
  if (names.length <= 1 || 'default' in named) return 'default' in named ? 'default' : (names[0] ?? '')
  throw new UsageError(`The objects have several vectors: name one with --vector-name (${names.join(', ')}).`)
}
