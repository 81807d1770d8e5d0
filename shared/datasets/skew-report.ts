import { setTimeout as sleep } from 'node:timers/promises'
import type { DatasetReader } from './dataset-reader.ts'
import { compareColumns, type Drift } from './drift.ts'

/** Unix ms; `to` is not included. */
export interface TimeRange {
  from?: number
  to?: number
}

export interface SkewReport {
  /** All that were read; and of how many of them the figures are. */
  reference: { rows: number; sampled: number }
  current: { rows: number; sampled: number }
  /** The first 500 by name. */
  features: Record<string, Drift>
  /** Of what the model made of them. */
  output: Drift
}

/** Rows of each side that are compared: a random sample of all, whose quantiles are good to about 1 %. */
const SAMPLE = 10_000
const MOST_FEATURES = 500

/** What a model is served now, against what it was trained on: two time ranges of a dataset. */
export function createSkewReport({
  reader,
  random = Math.random,
}: {
  reader: DatasetReader
  random?(): number
}) {
  /** Each row of a range has the same chance to be among them, however many come (Vitter's algorithm R, 1985). */
  async function sample(tenant: string, name: string, range: TimeRange, signal?: AbortSignal) {
    const jsons: string[] = []
    let rows = 0
    for await (const page of reader.pages(tenant, name, range)) {
      signal?.throwIfAborted()
      for (const { json } of page) {
        const place = rows < SAMPLE ? rows : Math.floor(random() * (rows + 1))
        if (place < SAMPLE) jsons[place] = json
        rows++
      }
    }
    return { rows, sampled: jsons.map((json) => JSON.parse(json) as Row) }
  }

  return async function skew(
    tenant: string,
    name: string,
    { reference, current }: { reference: TimeRange; current: TimeRange },
    signal?: AbortSignal,
  ): Promise<SkewReport> {
    const was = await sample(tenant, name, reference, signal)
    const is = await sample(tenant, name, current, signal)
    const compare = (of: (row: Row) => unknown) => compareColumns(was.sampled.map(of), is.sampled.map(of))
    const names = new Set([...was.sampled, ...is.sampled].flatMap(({ features }) => Object.keys(features)))
    const features: [string, Drift][] = []
    for (const name of [...names].sort().slice(0, MOST_FEATURES)) {
      features.push([
        name,
        compare(({ features }) => (Object.hasOwn(features, name) ? features[name] : null)),
      ])
      await sleep(0) // sorting takes milliseconds, and others wait
    }
    return {
      reference: { rows: was.rows, sampled: was.sampled.length },
      current: { rows: is.rows, sampled: is.sampled.length },
      features: Object.fromEntries(features),
      output: compare(({ output }) => output),
    }
  }
}

export type Skew = ReturnType<typeof createSkewReport>

interface Row {
  features: Record<string, unknown>
  output?: unknown
}
