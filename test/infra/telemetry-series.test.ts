import {
  DataPointType,
  type HistogramMetricData,
  MeterProvider,
  MetricReader,
} from '@opentelemetry/sdk-metrics'
import { describe, expect, it } from 'vitest'
import { INSTRUMENTS } from '../../infra/telemetry/instruments.ts'
import { createMetrics } from '../../infra/telemetry/metrics.ts'
import { boundsOf, createSeries } from '../../infra/telemetry/series.ts'

class Reader extends MetricReader {
  protected override async onShutdown() {}
  protected override async onForceFlush() {}
}

const NAME = 'hub.completion.duration'

describe('series', () => {
  it('count a histogram as OpenTelemetry’s own one does, values at the bounds included', async () => {
    const { series, of } = createSeries()
    const reader = new Reader()
    const theirs = new MeterProvider({ readers: [reader] })
      .getMeter('test')
      .createHistogram(NAME, { advice: { explicitBucketBoundaries: INSTRUMENTS[NAME].buckets } })
    const values = [...boundsOf(NAME)!, 0, 100, ...Array.from({ length: 500 }, () => Math.random() ** 4 * 40)]
    for (const value of values) {
      series(NAME, { verdict: 'exact' }).record(value)
      theirs.record(value, { verdict: 'exact' })
    }
    const { resourceMetrics } = await reader.collect()
    const found = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics)
    const histogram = found.find(
      (one): one is HistogramMetricData => one.dataPointType === DataPointType.HISTOGRAM,
    )
    const { buckets, ...theirValue } = histogram!.dataPoints[0]!.value
    const [own] = of(NAME)
    expect(own).toMatchObject({ ...theirValue, buckets: buckets.counts, attributes: { verdict: 'exact' } })
  })

  it('are as many as OpenTelemetry keeps; what comes after is one series', () => {
    const { series, of } = createSeries()
    for (let i = 0; i < 3_000; i++) series(NAME, { model: `m${i}` }).record(1)
    const all = of(NAME)
    expect(all).toHaveLength(2_001)
    expect(all.at(-1)).toMatchObject({ attributes: { 'otel.metric.overflow': 'true' }, count: 1_000 })
    series(NAME, { model: 'm7' }).record(1)
    expect(all[7]!.count).toBe(2)
  })
})

describe('metrics', () => {
  it('do not grow with what callers make up', async () => {
    const metrics = createMetrics({ settings: { serviceName: 'hub', attributes: {} }, byTenant: true })
    for (let i = 0; i < 12_000; i++) metrics.request(0.01, { method: 'GET', status: 200, tenant: `t${i}` })
    const lines = (await metrics.prometheus()).split('\n')
    const counts = lines.filter((line) => line.startsWith('http_server_request_duration_seconds_count'))
    expect(counts).toHaveLength(2_001)
    expect(counts.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)).toBe(12_000)
    await metrics.close()
  })
})
