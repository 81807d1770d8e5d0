import { HubError } from '../errors.ts'
import { featureKey, featureViewsKey } from '../keys.ts'
import type { Clock } from '../ports/clock.ts'
import type { Command, Redis, ScriptCall } from '../ports/redis.ts'
import { putFeaturesScript } from '../scripts.generated.ts'
import { type Replies, send } from '../send.ts'
import { type FeatureRow, readFeatureRow } from './feature-row.ts'
import { FEATURE_NAME, type FeatureValue, inferFeature, toFeatureValue, widthOf } from './feature-types.ts'
import { checkViewName, type FeatureView, type FeatureViews, unknownView } from './feature-views.ts'

export interface FeatureWrite {
  entity: string
  /** Null: there is no value any more. */
  features: Record<string, unknown>
  /** When they were so, Unix ms; now by default. */
  eventTime?: number
}

export interface FeaturesWritten {
  entity: string
  /** Unix ms */
  eventTime: number
  written: string[]
  /** Something newer of them was known. */
  outdated: string[]
}

export interface WriteOptions {
  /** What an error calls a row's place; `rows[3]` by default. */
  nameOf?(i: number): string
  /** Leaves out what a declared view does not have, rather than refuse it. */
  ignoreUnknown?: boolean
}

export interface ReadOptions {
  /** All of the view's by default. */
  names?: readonly string[]
  /** What is older is marked. */
  maxAgeSeconds?: number
}

/** What to ask Redis about entities, in the wave of whoever needs them. */
export interface FeatureQuestion {
  calls: Command[]
  /** Rows in the order of the entities. Throws 404 for a view or feature that there is not, 503 where Redis is away. */
  settle(replies: Replies): FeatureRow[]
}

export const MOST_ENTITIES = 1_000
/** Of a reply, in numbers: about 20 MB. */
const MOST_WIDTH = 1_000_000
/** A sender's clock may be so much ahead. What is later would shut out everything until then. */
export const CLOCK_SKEW_MS = 300_000
const ENTITY = /^[^\u0000-\u001f\u007f]{1,256}$/

const SLOW = { timeoutMs: 2_000 }
/** A thousand entities take longer than one. */
const READ = { timeoutMs: 1_000 }

/** The feature store: the latest values of entities, one hash each, every feature with the time at which it was so. */
export function createFeatures({ redis, views, clock }: { redis: Redis; views: FeatureViews; clock: Clock }) {
  /** The view, with all that is written; it learns what it may. */
  async function viewFor(tenant: string, name: string, rows: readonly FeatureWrite[], where: Where) {
    const view = await views.known(tenant, name)
    if (view?.declared) return view
    const unknown = new Map<string, ReturnType<typeof inferFeature>>()
    for (const [i, { features }] of rows.entries()) {
      for (const [feature, value] of Object.entries(features)) {
        if (value === null || unknown.has(feature) || (view && Object.hasOwn(view.features, feature)))
          continue
        const param = where(i, feature)
        if (!FEATURE_NAME.test(feature)) throw badName(param)
        unknown.set(feature, inferFeature(value, param))
      }
    }
    if (view && unknown.size === 0) return view
    // Before a view is made of them.
    for (const [i, { features }] of rows.entries())
      for (const [feature, type] of unknown)
        if (Object.hasOwn(features, feature)) toStored(type, features[feature], where(i, feature))
    return views.learn(tenant, name, Object.fromEntries(unknown))
  }

  const features = {
    /**
     * Writes entities: all are checked first, then each one is written whole. A value that is older than the one there changes nothing;
     * of two with the same time the later written one counts. Throws 400 with the path, 404, 413, 422.
     */
    async put(
      tenant: string,
      name: string,
      rows: readonly FeatureWrite[],
      { nameOf = (i) => `rows[${i}]`, ignoreUnknown = false }: WriteOptions = {},
    ): Promise<FeaturesWritten[]> {
      checkViewName(name)
      const now = clock.now()
      const at = (i: number, path: string) => [nameOf(i), path].filter(Boolean).join('.')
      const where: Where = (i, feature) => at(i, `features.${feature}`)
      for (const [i, { entity, eventTime = now }] of rows.entries()) {
        checkEntity(entity, at(i, 'entity'))
        if (eventTime > now + CLOCK_SKEW_MS) throw ofTheFuture(at(i, 'event_time'))
      }
      for (let attempt = 1; ; attempt++) {
        const view = await viewFor(tenant, name, rows, where)
        const calls = rows.map(({ entity, features, eventTime = now }, i) => {
          const stored = Object.entries(features).flatMap(([feature, value]) => {
            const known = Object.hasOwn(view.features, feature) ? view.features[feature] : undefined
            // Nothing was ever known of it, so there is nothing to take back.
            if (!known && (ignoreUnknown || (value === null && !view.declared))) return []
            if (!known) throw undeclared(name, feature, where(i, feature))
            return [feature, toStored(known, value, where(i, feature))]
          })
          const { ttl_seconds: ttl } = view
          const kept = ttl === undefined ? 0 : ttl * 1_000 + Math.max(0, eventTime - now)
          const args = [view.epoch, eventTime, kept, ...stored]
          return { script: putFeaturesScript, keys: [featureKey(tenant, name, entity)], args }
        })
        const replies = await redis.wave(calls, SLOW)
        for (const reply of replies) if (reply instanceof Error) throw reply
        if (!replies.includes(-1))
          return rows.map((row, i) => toWritten(row, now, calls[i]!, replies[i] as number[]))
        // Deleted and made again since this process looked.
        views.forget(tenant, name)
        if (attempt === 3) throw new Error(`The feature view ${name} is made anew again and again`)
      }
    },

    /** For a wave of the caller's own. Throws 400, and 413 where the reply would be too large. */
    ask(
      tenant: string,
      name: string,
      entities: readonly string[],
      { names, maxAgeSeconds }: ReadOptions = {},
    ): FeatureQuestion {
      checkViewName(name)
      for (const [i, entity] of entities.entries()) checkEntity(entity, `entities[${i}]`)
      const seen = views.seen(tenant, name)
      if (seen) checkWidth(seen, entities.length, names)
      const read = (key: string): Command => (names ? ['HMGET', key, '@', ...names] : ['HGETALL', key])
      return {
        // The view comes along: what it is now is what the values are read by.
        calls: [
          ['HGET', featureViewsKey(tenant), name],
          ...entities.map((entity) => read(featureKey(tenant, name, entity))),
        ],
        settle(replies) {
          if (replies instanceof Error) throw replies
          for (const reply of replies) if (reply instanceof Error) throw reply
          const view = views.parse(tenant, name, replies[0] as string | null)
          if (!view) throw unknownView(name)
          for (const [i, feature] of (names ?? []).entries())
            if (!Object.hasOwn(view.features, feature)) throw undeclared(name, feature, `features[${i}]`)
          const by = {
            view,
            names,
            now: clock.now(),
            maxAgeMs: (maxAgeSeconds ?? Number.POSITIVE_INFINITY) * 1_000,
          }
          return entities.map((entity, i) => readFeatureRow(entity, replies[i + 1] as (string | null)[], by))
        },
      }
    },

    /** `ask` in a wave of its own: one, whatever it knew of the view. */
    async read(tenant: string, name: string, entities: readonly string[], options?: ReadOptions) {
      const { calls, settle } = features.ask(tenant, name, entities, options)
      return settle(await redis.wave(calls, READ))
    },

    /** Whether it was there. A value that comes after that is written, whatever its time. */
    async delete(tenant: string, name: string, entity: string): Promise<boolean> {
      checkViewName(name)
      checkEntity(entity, 'entity')
      return (await send(redis, ['UNLINK', featureKey(tenant, name, entity)], SLOW)) === 1
    },
  }
  return features
}

export type Features = ReturnType<typeof createFeatures>

/** Path of a row's feature. */
type Where = (i: number, feature: string) => string

function toStored(feature: Parameters<typeof toFeatureValue>[0], value: unknown, param: string): string {
  const stored: FeatureValue | null = value === null ? null : toFeatureValue(feature, value, param)
  return JSON.stringify(stored)
}

function toWritten({ entity, eventTime }: FeatureWrite, now: number, { args }: ScriptCall, older: number[]) {
  const names = args.filter((_, i) => i >= 3 && i % 2 === 1) as string[]
  const outdated = new Set(older.map((i) => names[i]!))
  const written = names.filter((name) => !outdated.has(name))
  return { entity, eventTime: eventTime ?? now, written, outdated: [...outdated] }
}

function checkEntity(entity: string, param: string) {
  if (ENTITY.test(entity) && entity.isWellFormed()) return
  const message = `${param}: must be 1 to 256 characters, and none that control.`
  throw new HubError({ code: 'invalid_value', status: 400, message, param })
}

function checkWidth(
  view: FeatureView,
  entities: number,
  names: readonly string[] = Object.keys(view.features),
) {
  const width = names.reduce(
    (sum, name) => sum + (Object.hasOwn(view.features, name) ? widthOf(view.features[name]!) : 0),
    0,
  )
  if (width * entities <= MOST_WIDTH) return
  throw new HubError({
    code: 'query_too_large',
    status: 413,
    message: `${entities} entities of about ${width} numbers each are too many for one reply: it has at most ${MOST_WIDTH}. Ask for fewer entities, or name fewer \`features\`.`,
    param: 'entities',
  })
}

const badName = (param: string) =>
  new HubError({
    code: 'invalid_value',
    status: 400,
    message: `${param}: a feature is named with 1 to 64 of A-Z a-z 0-9 _ . -, and begins with a letter or digit.`,
    param,
  })

const undeclared = (view: string, feature: string, param: string) =>
  new HubError({
    code: 'feature_not_found',
    status: 400,
    message: `${param}: the view \`${view}\` has no feature \`${feature}\`. GET /v1/feature-views/${view} lists those it has, PUT adds some.`,
    param,
  })

const ofTheFuture = (param: string) =>
  new HubError({
    code: 'invalid_value',
    status: 400,
    message: `${param}: is more than ${CLOCK_SKEW_MS / 60_000} minutes ahead. It would shut out every value until then.`,
    param,
  })
