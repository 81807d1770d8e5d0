import { type HrTime, ValueType } from '@opentelemetry/api'
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  AggregationTemporality,
  type CollectionResult,
  DataPointType,
  MeterProvider,
  type MetricData,
  type MetricProducer,
  MetricReader,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { TRACER } from '../../shared/telemetry/trace-context.ts'
import { INSTRUMENTS, SAMPLED, type Sample, type SampledName } from './instruments.ts'
import type { MetricsOptions } from './metrics.ts'
import { boundsOf, type createSeries } from './series.ts'

export interface LoadedMetrics {
  prometheus(): Promise<string>
  close(): Promise<void>
}

/** OpenTelemetry's metrics; nothing but a dynamic import reaches this file. */
export async function loadMetrics(
  { serviceName, attributes, metrics: otlp }: MetricsOptions['settings'],
  series: ReturnType<typeof createSeries>,
  sample: () => Promise<Sample[]>,
): Promise<LoadedMetrics> {
  const resource = resourceFromAttributes({ ...attributes, 'service.name': serviceName })
  const metricProducers = [producerOf(series)]
  const reader = new PullReader({ metricProducers })
  const readers: MetricReader[] = [reader]
  if (otlp) {
    const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-http')
    const exporter = new OTLPMetricExporter({ url: otlp.url, headers: otlp.headers })
    const exportIntervalMillis = otlp.intervalMs
    readers.push(new PeriodicExportingMetricReader({ exporter, exportIntervalMillis, metricProducers }))
  }
  const provider = new MeterProvider({ resource, readers })
  const meter = provider.getMeter(TRACER)

  // One look for all of them: they are looked up together.
  const sampled = entriesOf(SAMPLED).map(([name, { kind, ...about }]) => {
    const create = kind === 'total' ? meter.createObservableCounter : meter.createObservableGauge
    return [name, create.call(meter, name, about)] as const
  })
  const observables = new Map<SampledName, (typeof sampled)[number][1]>(sampled)
  meter.addBatchObservableCallback(
    async (result) => {
      for (const { name, value, attributes } of await sample()) {
        result.observe(observables.get(name)! as Parameters<typeof result.observe>[0], value, attributes)
      }
    },
    [...observables.values()],
  )

  const serializer = new PrometheusSerializer(undefined, false, undefined, false, true)
  return {
    prometheus: async () => serializer.serialize(withUnits((await reader.collect()).resourceMetrics)),
    close: () => provider.shutdown().catch(() => {}),
  }
}

/** What was added up here, from the beginning of the process on. */
function producerOf(series: ReturnType<typeof createSeries>): MetricProducer {
  const startTime = toHrTime(performance.timeOrigin)
  return {
    async collect() {
      const endTime = toHrTime(Date.now())
      const metrics = entriesOf(INSTRUMENTS).flatMap(([name, { description, unit }]): MetricData[] => {
        const all = series.of(name)
        if (all.length === 0) return []
        const common = {
          descriptor: { name, description, unit, valueType: ValueType.DOUBLE },
          aggregationTemporality: AggregationTemporality.CUMULATIVE,
        }
        const times = { startTime, endTime }
        const boundaries = boundsOf(name)
        if (!boundaries) {
          const dataPoints = all.map(({ attributes, sum }) => ({ ...times, attributes, value: sum }))
          return [{ ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }]
        }
        const dataPoints = all.map(({ attributes, count, sum, min, max, buckets }) => {
          const counts = { boundaries: [...boundaries], counts: [...buckets] }
          return { ...times, attributes, value: { count, sum, min, max, buckets: counts } }
        })
        return [{ ...common, dataPointType: DataPointType.HISTOGRAM, dataPoints }]
      })
      return {
        resourceMetrics: {
          resource: resourceFromAttributes({}),
          scopeMetrics: [{ scope: { name: TRACER }, metrics }],
        },
        errors: [],
      }
    },
  }
}

const toHrTime = (ms: number): HrTime => [Math.floor(ms / 1_000), Math.round((ms % 1_000) * 1e6)]

class PullReader extends MetricReader {
  protected override async onShutdown() {}
  protected override async onForceFlush() {}
}

/** Prometheus wants units in names; the serializer puts none there, but writes `# UNIT`, of which the text format knows nothing. */
function withUnits(all: CollectionResult['resourceMetrics']): CollectionResult['resourceMetrics'] {
  const scopeMetrics = all.scopeMetrics.map((scope) => ({
    ...scope,
    metrics: scope.metrics.map((metric) => {
      const { name, unit } = metric.descriptor
      return {
        ...metric,
        descriptor: { ...metric.descriptor, name: name + (SUFFIXES[unit] ?? ''), unit: '' },
      }
    }),
  }))
  return { ...all, scopeMetrics }
}

const SUFFIXES: Record<string, string> = { s: '_seconds', By: '_bytes' }

interface Described {
  kind: string
  unit: string
  description: string
  buckets?: number[]
}
const entriesOf = <Name extends string>(of: Record<Name, Described>) =>
  Object.entries(of) as [Name, Described][]
