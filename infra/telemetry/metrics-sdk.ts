import type { Attributes, Counter, Histogram } from '@opentelemetry/api'
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  type CollectionResult,
  MeterProvider,
  MetricReader,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { TRACER } from '../../shared/telemetry/trace-context.ts'
import { INSTRUMENTS, type InstrumentName, SAMPLED, type Sample, type SampledName } from './instruments.ts'
import type { MetricsOptions } from './metrics.ts'

export interface LoadedMetrics {
  record(name: InstrumentName, value: number, attributes: Attributes): void
  prometheus(): Promise<string>
  close(): Promise<void>
}

/** OpenTelemetry's metrics; nothing but a dynamic import reaches this file. */
export async function loadMetrics(
  { serviceName, attributes, metrics: otlp }: MetricsOptions['settings'],
  sample: () => Promise<Sample[]>,
): Promise<LoadedMetrics> {
  const reader = new PullReader()
  const readers: MetricReader[] = [reader]
  if (otlp) {
    const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-http')
    const exporter = new OTLPMetricExporter({ url: otlp.url, headers: otlp.headers })
    readers.push(new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: otlp.intervalMs }))
  }
  const resource = resourceFromAttributes({ ...attributes, 'service.name': serviceName })
  const provider = new MeterProvider({ resource, readers })
  const meter = provider.getMeter(TRACER)

  const instruments = new Map<InstrumentName, Histogram | Counter>()
  for (const [name, { kind, buckets, ...about }] of entriesOf(INSTRUMENTS)) {
    const advice = buckets && { explicitBucketBoundaries: buckets }
    instruments.set(
      name,
      kind === 'histogram'
        ? meter.createHistogram(name, { ...about, advice })
        : meter.createCounter(name, about),
    )
  }

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
    record(name, value, attributes) {
      const one = instruments.get(name)!
      if ('record' in one) one.record(value, attributes)
      else one.add(value, attributes)
    },
    prometheus: async () => serializer.serialize(withUnits((await reader.collect()).resourceMetrics)),
    close: () => provider.shutdown().catch(() => {}),
  }
}

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
