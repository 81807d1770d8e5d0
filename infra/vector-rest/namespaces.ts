import type { Run } from './elements.ts'
import { Refusal } from './errors.ts'

/** The namespaces of an index. That without a name is always there; another is made by its first vector. */
export function createNamespaces({ run, name, start }: { run: Run; name: string; start: string }) {
  const known = `${start}:namespaces`
  const vectorsKey = (namespace: string) => `${start}:vectors:${namespace}`
  /** Sorted set: ids in the order in which they came. */
  const idsKey = (namespace: string) => `${start}:ids:${namespace}`

  /** How many vectors it has; 404 where it is none. */
  async function sizeOf(namespace: string): Promise<number> {
    const [exists, size] = await run([
      ['SISMEMBER', known, namespace],
      ['VCARD', vectorsKey(namespace)],
    ])
    if (exists === 1 || namespace === '') return size as number
    throw new Refusal(404, `Namespace ${namespace} for the index ${name} does not exist`)
  }

  async function list(): Promise<string[]> {
    const [names] = await run([['SMEMBERS', known]])
    return ['', ...(names as string[]).sort()]
  }

  async function empty(namespace: string) {
    await sizeOf(namespace)
    await run([['UNLINK', vectorsKey(namespace), idsKey(namespace)]])
  }

  return {
    ...{ vectorsKey, idsKey, sizeOf, list, empty },

    async add(namespace: string) {
      if (namespace !== '') await run([['SADD', known, namespace]])
    },

    async sizes(): Promise<[string, number][]> {
      const names = await list()
      const sizes = await run(names.map((namespace) => ['VCARD', vectorsKey(namespace)]))
      return names.map((namespace, i) => [namespace, sizes[i] as number])
    },

    async remove(namespace: string) {
      await empty(namespace)
      await run([['SREM', known, namespace]])
    },
  }
}
