import type { Models } from '../inference/models.ts'
import { type Histogram, quantile } from '../traffic/histogram.ts'
import { sumOf, type TrafficCounts, VERDICTS } from '../traffic/minute.ts'
import type { Traffic } from '../traffic/traffic.ts'
import { listed, toTime } from './list.ts'
import type { OverviewAsk, Snapshot } from './snapshot.ts'

interface TrafficPartsOptions {
  traffic: Traffic
  models: Pick<Models, 'list'>
}

/** What was asked, and how it went. */
export function createTrafficParts({ traffic, models }: TrafficPartsOptions) {
  return {
    async traffic({ tenant, minutes }: OverviewAsk): Promise<Snapshot['traffic']> {
      const all = await traffic.read(tenant, minutes)
      const sum = sumOf(all.map(({ counts }) => counts))
      return {
        total: { ...counted(sum), endpoints: sum.endpoints, hit_rate: hitRateOf(sum) },
        minutes: all.map(({ at, counts }) => ({ at: toTime(at), ...counted(counts) })),
      }
    },

    async models({ tenant, minutes }: OverviewAsk): Promise<Snapshot['models']> {
      const [known, all] = await Promise.all([models.list(tenant), traffic.read(tenant, minutes)])
      const sum = sumOf(all.map(({ counts }) => counts))
      const rows = known.map(({ name, versions, labels, defaultVersion }) => {
        const { inferences = 0, errors = 0, total } = sum.models.get(name) ?? {}
        const ms = percentilesOf(total ?? [])
        return { name, versions, labels, default_version: defaultVersion, inferences, errors, total_ms: ms }
      })
      return listed(rows.sort((a, b) => b.inferences - a.inferences))
    },
  }
}

function counted(counts: TrafficCounts) {
  const { verdicts, errors, inputTokens, outputTokens, savedTokens, cost, saved, total, first } = counts
  return {
    requests: VERDICTS.reduce((sum, verdict) => sum + verdicts[verdict], 0),
    ...{ verdicts, errors, cost, saved },
    ...{ input_tokens: inputTokens, output_tokens: outputTokens, saved_tokens: savedTokens },
    ...{ total_ms: percentilesOf(total), first_ms: percentilesOf(first) },
  }
}

const percentilesOf = (histogram: Histogram) => ({
  p50: quantile(histogram, 0.5),
  p95: quantile(histogram, 0.95),
  p99: quantile(histogram, 0.99),
})

function hitRateOf({ verdicts }: TrafficCounts) {
  const looked = VERDICTS.reduce((sum, verdict) => sum + (verdict === 'none' ? 0 : verdicts[verdict]), 0)
  const part = (count: number) => (looked === 0 ? 0 : count / looked)
  const { exact, stale, semantic, collapsed } = verdicts
  return {
    exact: part(exact + stale),
    semantic: part(semantic),
    collapsed: part(collapsed),
    all: part(exact + stale + semantic + collapsed),
  }
}
