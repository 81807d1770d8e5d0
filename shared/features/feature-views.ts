import { LRUCache } from 'lru-cache'
import { HubError } from '../errors.ts'
import { featureEntities, featureViewsKey, NAME } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { createRecall } from '../recall.ts'
import { scan } from '../scan.ts'
import { dropFeaturesScript, replaceFieldScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import { type Feature, MOST_DIMENSIONS, toFeature } from './feature-types.ts'

/** What `PUT /v1/feature-views/{view}` takes. */
export interface FeatureViewSettings {
  features: Record<string, Feature>
  /** A value whose event time is longer ago is not served. Without it values stay. */
  ttl_seconds?: number
}

/** Features of one kind of entity, such as a user. */
export interface FeatureView extends FeatureViewSettings {
  /** What was never declared learns features from what is written; a declared view takes no others. */
  declared: boolean
  /** Features that were left out later: they are not served, and keep their type should they come back. */
  removed: Record<string, Feature>
  /** Of the views that had this name each has a greater one: what an earlier one left is not served. Unix ms */
  epoch: number
  /** RFC 3339 */
  created_at: string
  updated_at: string
}

export type NamedView = FeatureView & { name: string }

const MOST_VIEWS = 1_000
const MOST_FEATURES = 200

/** How long another instance may check what is written by what the view was. */
const REMEMBERED = { freshMs: 1_000, staleMs: 1_000, maxSize: 10_000 }
const SLOW = { timeoutMs: 2_000 }
const SCANNED = 1_000

/** Definitions of all tenants: one hash a tenant, each field replaced only where it holds what was seen. */
export function createFeatureViews({ redis, clock }: { redis: Redis; clock: Clock }) {
  const recalled = createRecall<FeatureView | undefined>(REMEMBERED)
  /** By their text, so that one that did not change is parsed once; and the latest that was seen of each name. */
  const parsed = new LRUCache<string, FeatureView>({ max: 1_000 })
  const latest = new LRUCache<string, FeatureView>({ max: 10_000 })

  async function find(tenant: string, name: string) {
    const text = (await send(redis, ['HGET', featureViewsKey(tenant), name], SLOW)) as string | null
    return { text, view: views.parse(tenant, name, text) }
  }

  /** Whether it held what was seen. */
  async function replace(tenant: string, name: string, from: string | null, to: object | undefined) {
    const args = [name, from ?? '', to ? JSON.stringify(to) : '']
    const call = { script: replaceFieldScript, keys: [featureViewsKey(tenant)], args }
    const replaced = await send(redis, call, SLOW)
    views.forget(tenant, name)
    return replaced !== 0
  }

  async function checkRoom(tenant: string) {
    const count = (await send(redis, ['HLEN', featureViewsKey(tenant)], SLOW)) as number
    if (count >= MOST_VIEWS)
      throw tooMany(`A tenant has at most ${MOST_VIEWS} feature views. Delete one first.`)
  }

  /** A view of that name that is younger than every one before it. */
  function make(text: string | null, settings: FeatureViewSettings, declared: boolean): FeatureView {
    const epoch = Math.max(clock.now(), text === null ? 0 : JSON.parse(text).deleted + 1)
    const at = new Date(epoch).toISOString()
    return { ...settings, declared, removed: {}, epoch, created_at: at, updated_at: at }
  }

  const views = {
    /** As `HGET featureViewsKey name` replied. */
    parse(tenant: string, name: string, text: string | null): FeatureView | undefined {
      if (text === null) return undefined
      const view = parsed.get(text) ?? (JSON.parse(text) as FeatureView | { deleted: number })
      if ('deleted' in view) return undefined
      parsed.set(text, view)
      latest.set(`${tenant}/${name}`, view)
      return view
    },

    /** What this process saw of it last, however long ago. */
    seen: (tenant: string, name: string): FeatureView | undefined => latest.get(`${tenant}/${name}`),

    /** Remembered for a second. */
    known: (tenant: string, name: string): Promise<FeatureView | undefined> =>
      recalled.get(`${tenant}/${name}`, async () => (await find(tenant, name)).view),

    forget: (tenant: string, name: string): void => recalled.forget(`${tenant}/${name}`),

    /** Throws 404. */
    async get(tenant: string, name: string): Promise<NamedView> {
      const { view } = await find(tenant, name)
      if (!view) throw unknownView(name)
      return { name, ...view }
    },

    async list(tenant: string): Promise<NamedView[]> {
      const flat = (await send(redis, ['HGETALL', featureViewsKey(tenant)], SLOW)) as string[]
      return flat
        .flatMap((name, i) => {
          const view = i % 2 ? undefined : views.parse(tenant, name, flat[i + 1]!)
          return view ? [{ name, ...view }] : []
        })
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    },

    /** Declares it, or replaces what may change. Throws 400, 409 for another type of a feature that there was, 422 with too many. */
    async put(tenant: string, name: string, settings: FeatureViewSettings) {
      checkViewName(name)
      const features = Object.fromEntries(
        Object.entries(settings.features).map(([name, feature]) => [name, toFeature(name, feature)]),
      )
      for (;;) {
        const { text, view } = await find(tenant, name)
        if (text === null) await checkRoom(tenant)
        const before = { ...view?.removed, ...view?.features }
        checkSize({ ...before, ...features })
        const made = { ...settings, features }
        if (!view) {
          const fresh = make(text, made, true)
          if (await replace(tenant, name, text, fresh)) return { view: { name, ...fresh }, created: true }
          continue
        }
        for (const [name, feature] of Object.entries(features))
          checkType(name, Object.hasOwn(before, name) ? before[name] : undefined, feature)
        const removed = Object.fromEntries(
          Object.entries(before).filter(([name]) => !Object.hasOwn(features, name)),
        )
        const { epoch, created_at } = view
        const updated_at = new Date(clock.now()).toISOString()
        const next = { ...made, declared: true, removed, epoch, created_at, updated_at }
        if (await replace(tenant, name, text, next)) return { view: { name, ...next }, created: false }
      }
    },

    /** Adds features to a view that was never declared, making it where there is none; those that it has stay. Throws 422 with too many. */
    async learn(tenant: string, name: string, features: Record<string, Feature>): Promise<FeatureView> {
      for (;;) {
        const { text, view } = await find(tenant, name)
        if (text === null) await checkRoom(tenant)
        if (view?.declared) return view
        const all = { ...view?.features, ...features, ...view?.features }
        checkSize(all)
        const updated_at = new Date(clock.now()).toISOString()
        const next = view ? { ...view, features: all, updated_at } : make(text, { features: all }, false)
        if (await replace(tenant, name, text, next)) return next
      }
    },

    /**
     * It and its entities are gone at once, and are removed by the work that it gives back. Where that breaks off, another call goes
     * on with it. Throws 404.
     */
    async delete(tenant: string, name: string): Promise<() => Promise<void>> {
      for (;;) {
        const { text, view } = await find(tenant, name)
        if (text === null) throw unknownView(name)
        const mark = { deleted: view ? view.epoch : (JSON.parse(text).deleted as number) }
        if (await replace(tenant, name, text, mark)) return () => sweep(tenant, name, mark)
      }
    },
  }
  return views

  async function sweep(tenant: string, name: string, mark: { deleted: number }) {
    const drop = (key: string) => ({ script: dropFeaturesScript, keys: [key], args: [mark.deleted] })
    for await (const keys of scan(redis, featureEntities(tenant, name), { count: SCANNED, ...SLOW })) {
      for (const reply of await redis.wave(keys.map(drop), SLOW)) if (reply instanceof Error) throw reply
    }
    await replace(tenant, name, JSON.stringify(mark), undefined)
  }
}

export type FeatureViews = ReturnType<typeof createFeatureViews>

/** Throws 400. */
export function checkViewName(name: string): void {
  if (NAME.test(name)) return
  const message = 'view: must be 1 to 64 of A-Z a-z 0-9 _ . -'
  throw new HubError({ code: 'invalid_value', status: 400, message, param: 'view' })
}

/** The way out is either to write, which makes it, or to declare it. */
export const unknownView = (name: string) =>
  new HubError({
    code: 'feature_view_not_found',
    status: 404,
    message: `There is no feature view \`${name}\`. PUT /v1/features/${name}/{entity} makes one from what it writes, PUT /v1/feature-views/${name} declares one.`,
    param: 'view',
  })

/** What is stored is of the type that it had. */
function checkType(name: string, before: Feature | undefined, now: Feature) {
  if (!before || (before.type === now.type && before.dimensions === now.dimensions)) return
  const was = before.type === 'vector' ? `vector(${before.dimensions})` : before.type
  throw new HubError({
    code: 'feature_type_fixed',
    status: 409,
    message: `features.${name}: is a ${was} for good, as values of it are stored. Give the new one another name, or make another view.`,
    param: `features.${name}`,
  })
}

/** A row of 1,000 entities' must fit into one reply. */
function checkSize(features: Record<string, Feature>) {
  const all = Object.values(features)
  if (all.length > MOST_FEATURES)
    throw tooMany(`A feature view has at most ${MOST_FEATURES} features, those that were removed included.`)
  const dimensions = all.reduce((sum, feature) => sum + (feature.dimensions ?? 0), 0)
  if (dimensions <= MOST_DIMENSIONS) return
  throw tooMany(`The vectors of a feature view have at most ${MOST_DIMENSIONS} dimensions together.`)
}

const tooMany = (message: string) => new HubError({ code: 'too_many_features', status: 422, message })
