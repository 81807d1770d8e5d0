import type { Datasets } from '../../datasets/datasets.ts'
import type { PipelineRun } from './pipeline-call.ts'
import type { Plan } from './plan.ts'
import type { OpenRow } from './windows.ts'

interface DoneRow extends OpenRow {
  /** Unix ms, not after now. */
  time: number
  outputs: object
}

/** Training data: inputs and features as they were before any step, and the results; each row once. */
export async function recordRows(
  datasets: Pick<Datasets, 'append'>,
  tenant: string,
  { definition, inputs, lookUps, windows }: Plan,
  rows: readonly DoneRow[],
  models: PipelineRun['models'],
): Promise<void> {
  const entity = lookUps[0]?.entity ?? windows[0]?.by
  const fields = [
    ...inputs.map(({ name, slot }) => [name, slot] as const),
    ...lookUps.flatMap((look) =>
      look.values.map(({ feature, slot }) => [`${look.name}.${feature}`, slot] as const),
    ),
  ]
  const model = models.map(({ name, version }) => `${name}:${version}`).join(',')
  await datasets.append(
    tenant,
    definition.record!,
    rows.map((row) => ({
      ...{ id: row.id, at: row.time, model, output: row.outputs },
      ...(entity !== undefined && { entity: String(row.values[entity]) }),
      features: Object.fromEntries(fields.map(([name, slot]) => [name, row.values[slot]])),
    })),
  )
}
