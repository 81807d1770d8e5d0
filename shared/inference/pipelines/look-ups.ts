import { HubError } from '../../errors.ts'
import type { FeatureRow } from '../../features/feature-row.ts'
import type { FeatureQuestion, Features } from '../../features/features.ts'
import type { Replies } from '../../send.ts'
import type { PlannedLookUp } from './plan.ts'
import { readValue } from './row-inputs.ts'
import { invalid } from './value.ts'
import type { OpenRow } from './windows.ts'

/** Features of the rows' entities, each entity asked once, for a wave of the caller's own. `fail` is told of rows that lack one. */
export function lookUp(
  features: Pick<Features, 'ask'>,
  tenant: string,
  planned: PlannedLookUp,
  rows: readonly OpenRow[],
  fail: (row: OpenRow, error: unknown) => void,
) {
  const entityOf = ({ values }: OpenRow) => String(values[planned.entity])
  const names = planned.values.map(({ feature }) => feature)
  const ask = (entities: string[]) =>
    features.ask(tenant, planned.view, entities, { names, maxAgeSeconds: planned.max_age_seconds })
  let entities = [...new Set(rows.map(entityOf))]
  let question: FeatureQuestion
  try {
    question = ask(entities)
  } catch (error) {
    if (!(error instanceof HubError) || error.status >= 413) throw error
    // One of them is no entity.
    const refused = new Map<string, unknown>()
    for (const entity of entities) {
      try {
        ask([entity])
      } catch {
        refused.set(
          entity,
          invalid(`features.${planned.name}.entity`, 'must be 1 to 256 characters, and none that control'),
        )
      }
    }
    entities = entities.filter((entity) => !refused.has(entity))
    for (const row of rows) if (refused.has(entityOf(row))) fail(row, refused.get(entityOf(row)))
    question = ask(entities)
  }
  const { calls, settle } = question
  return {
    calls,
    settle(replies: Replies): void {
      const found = new Map(settle(replies).map((row) => [row.entity, row]))
      for (const row of rows) {
        const known = found.get(entityOf(row))
        if (!known) continue // it has failed
        try {
          fill(row, known, planned)
        } catch (error) {
          fail(row, error)
        }
      }
    },
  }
}

/** Throws 422 for a feature that is not known, or too old, and has no default. */
function fill(row: OpenRow, known: FeatureRow, { name, view, values }: PlannedLookUp) {
  for (const planned of values) {
    const { feature, slot } = planned
    const isStale = known.stale.includes(feature)
    const given = (isStale ? undefined : known.features?.[feature]) ?? planned.default
    const param = `features.${name}.values.${feature}`
    if (given === undefined) {
      const message = `${param}: ${isStale ? 'is too old' : 'is not known'} for \`${known.entity}\` in the view \`${view}\`. Write it, or give it a \`default\`.`
      throw new HubError({ code: isStale ? 'feature_stale' : 'feature_missing', status: 422, message, param })
    }
    row.values[slot] = readValue(planned, given, param)
  }
}
