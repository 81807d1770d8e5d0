import { z } from 'zod'
import { HubError } from '../errors.ts'
import { readTime } from '../features/feature-types.ts'
import type { Features, FeatureWrite } from '../features/features.ts'
import { NAME } from '../keys.ts'
import { toFailure, together } from './failure.ts'
import type { EventHandler, Handled, HandledEvent } from './handlers.ts'
import { valueAt } from './value-at.ts'

export interface FeaturesHandlerOptions {
  features: Pick<Features, 'put'>
}

const path = z
  .string()
  .min(1)
  .max(200)
  .optional()
  .describe('dotted path into the event, such as `data.user.id`')

const FeaturesSettings = z.strictObject({
  view: z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -'),
  entity_path: path.describe('the entity; by default `subject`'),
  values_path: path.describe('an object of features; by default `data`'),
  time_path: path.describe('when they were so: RFC 3339, or Unix milliseconds; by default `time`'),
})
type FeaturesSettings = z.output<typeof FeaturesSettings>

/**
 * Writes features of entities. Events may come in any order and more than once: of each feature the newest value by event time stays.
 * What a declared view does not have is left out. Result: `{view, entity, written, outdated}`.
 */
export function createFeaturesHandler({ features }: FeaturesHandlerOptions): EventHandler<FeaturesSettings> {
  return {
    settings: FeaturesSettings,
    batch: 100,
    calls: 4,
    async handle(events, settings, { tenant, signal }) {
      const { view } = settings
      const put = async (some: readonly Prepared[]): Promise<Handled[]> => {
        const rows = some.map(({ row }) => row)
        const written = await features.put(tenant, view, rows, { ignoreUnknown: true })
        return written.map(({ entity, written, outdated }) => ({
          result: { view, entity, written, outdated },
        }))
      }
      const prepared = events.map((event) => prepare(event, settings))
      const fit = prepared.filter((one) => 'row' in one)
      const handled = fit.length > 0 ? await together(fit, signal, put) : []
      const byRow = new Map(fit.map((one, i) => [one, handled[i]!]))
      return prepared.map((one) => ('row' in one ? byRow.get(one)! : one))
    },
  }
}

interface Prepared {
  row: FeatureWrite
}

function prepare({ event }: HandledEvent, settings: FeaturesSettings): Prepared | Handled {
  const { entity_path = 'subject', values_path = 'data', time_path = 'time' } = settings
  const entity = valueAt(event, entity_path)
  const values = valueAt(event, values_path)
  const time = valueAt(event, time_path)
  const eventTime = Number.isSafeInteger(time) ? (time as number) : readTime(time)
  if (typeof entity !== 'string' && typeof entity !== 'number')
    return unfit('entity', entity_path, 'entity_path')
  if (typeof values !== 'object' || values === null || Array.isArray(values))
    return unfit('object of features', values_path, 'values_path')
  if (eventTime === undefined) return unfit('time', time_path, 'time_path')
  return { row: { entity: String(entity), features: values as Record<string, unknown>, eventTime } }
}

const unfit = (what: string, param: string, setting: string) =>
  toFailure(
    new HubError({
      code: 'invalid_event',
      status: 400,
      message: `The event has no ${what} at \`${param}\`. The handler's \`${setting}\` says where it is.`,
      param,
    }),
  )
