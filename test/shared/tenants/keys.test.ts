import { describe, expect, it } from 'vitest'
import * as keys from '../../../shared/keys.ts'
import { HUB_KEYS, streamKeys, tenantKeyGlobs, tenantOfKey } from '../../../shared/keys.ts'
import type { VectorIndex } from '../../../shared/ports/vectors.ts'
import { HUB_KEPT, HUB_LISTS } from '../../../shared/tenants/hub-members.ts'

/** Whoever adds a key builder adds it to what a tenant's erasure finds: by its prefix, or as a key of the whole hub. */
const NOT_KEYS = {
  constants: ['DEFAULT_TENANT', 'TENANT_FIELD'],
  channels: ['QUEUES_PUSHED', 'AGENTS_DUE', 'MODELS_CHANGED'],
  globs: ['completionEntries', 'featureEntities', 'tenantKeyGlobs', 'redisaiModels'],
  /** Of a key that another builder made, or what is asked of one. */
  derived: ['streamKeys', 'tenantOfKey'],
  /** The name of a channel within a tenant. */
  names: ['agentChannel'],
  /** Of RedisAI's own server: `redisaiModels`. */
  redisai: ['redisaiKeys'],
}
/** Of keys of the whole hub. */
const HUB_BUILDERS = ['auditOutcomesKey']
const notKeys = Object.values(NOT_KEYS).flat()
const exported = Object.entries(keys).filter(([name]) => !notKeys.includes(name))

/** All texts that a builder's result holds, and its own builders make. */
function textsOf(made: unknown): string[] {
  if (typeof made === 'string') return [made]
  if (typeof made === 'function') return textsOf(made('one', 'two'))
  return typeof made === 'object' && made !== null ? Object.values(made).flatMap(textsOf) : []
}

function made(name: string, builder: unknown, tenant: string): string[] {
  if (name === 'vectorKeys') {
    const index = { tenant, name: 'docs', partitions: 1 } as VectorIndex
    const { chunk, chunkPrefix, vectors, postings, attributes, tagged, numbered } = keys.vectorKeys
    return [
      ...[chunk(index, { documentId: 'a:{b}', version: 1, n: 0 }), chunkPrefix(index), vectors(index, 0)],
      ...[vectors(index, 0, 'hot'), postings(index, 0, 'term'), attributes(index, 0)],
      ...[tagged(index, 0, 'color', 'red'), numbered(index, 0, 'size')],
    ]
  }
  return textsOf((builder as (...args: string[]) => unknown)(tenant, 'first', 'second', 'third', 'fourth'))
}

/** As the `*` of a glob that has no other signs. */
const isWithin = (glob: string, key: string) => key.startsWith(glob.slice(0, -1))

describe('every key that shared/keys.ts can build', () => {
  const builders = exported.filter(
    ([name, value]) => !HUB_BUILDERS.includes(name) && (typeof value === 'function' || name === 'vectorKeys'),
  )

  it.each(builders)('%s: is found by its tenant’s globs, and by no other’s', (name, builder) => {
    for (const tenant of ['acme', 'acme2', 'a.b_c-d', 'default']) {
      // `hash` is what completionKeys was given.
      const all = made(name, builder, tenant).filter((text) => text !== 'first')
      expect(all.length).toBeGreaterThan(0)
      for (const key of all) {
        expect(tenantOfKey(key), key).toBe(tenant)
        for (const other of ['acme', 'acme2', 'a.b_c-d']) {
          const found = tenantKeyGlobs(other).some((glob) => isWithin(glob, key))
          expect(found, `${key} by the globs of ${other}`).toBe(other === tenant)
        }
      }
    }
  })

  it('or it is one of the whole hub, whose members of a tenant are removed, or which is kept', () => {
    const texts = exported.flatMap(([name, value]) =>
      HUB_BUILDERS.includes(name) ? made(name, value, 'acme') : typeof value === 'string' ? [value] : [],
    )
    for (const key of texts) expect(tenantOfKey(key), key).toBeNull()
    const looked = [...HUB_LISTS.map(({ key }) => key), ...HUB_KEPT]
    for (const key of [...texts, ...HUB_KEYS]) {
      const base = /^\{(.*)\}/.exec(key)?.[1] ?? key
      expect(
        looked.some((one) => one === key || (HUB_KEPT.includes(base) && one === base)),
        key,
      ).toBe(true)
    }
    for (const { key, type } of HUB_LISTS) {
      expect(tenantOfKey(key), key).toBeNull()
      if (type === 'stream' && !key.startsWith('{')) expect(looked, key).toContain(streamKeys(key, '').dead)
    }
  })
})
