import { context, propagation, trace } from '@opentelemetry/api'
import type { SpanProcessor } from '@opentelemetry/sdk-trace'
import type { TelemetrySettings } from './settings.ts'

export interface Tracing {
  /** Sends what is over. */
  flush(): Promise<void>
  close(): Promise<void>
}

export interface TracingOptions {
  /** Whether spans may be sent by a timer; where nothing runs between requests, `flush` alone sends them. */
  batches: boolean
}

/**
 * Spans by OTLP over HTTP. Loads OpenTelemetry only now: a hub that nobody traces never does. There is one for a process: it becomes the
 * API's global.
 */
export async function startTracing(
  {
    traces,
    serviceName,
    attributes,
    sampler,
  }: TelemetrySettings & Required<Pick<TelemetrySettings, 'traces'>>,
  { batches }: TracingOptions,
): Promise<Tracing> {
  const [sdk, { OTLPTraceExporter }, { AsyncLocalStorageContextManager }, core, { resourceFromAttributes }] =
    await Promise.all([
      import('@opentelemetry/sdk-trace'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/context-async-hooks'),
      import('@opentelemetry/core'),
      import('@opentelemetry/resources'),
    ])
  const exporter = new OTLPTraceExporter({ url: traces.url, headers: traces.headers })
  const collected: Collected = []
  const processor = batches ? new sdk.BatchSpanProcessor({ exporter }) : collecting(collected)
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({ ...attributes, 'service.name': serviceName }),
    sampler: toSampler(sdk, sampler),
    spanProcessors: [processor],
    spanLimits: { attributeValueLengthLimit: MOST_CHARACTERS },
  })
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new core.W3CTraceContextPropagator())
  trace.setGlobalTracerProvider(provider)

  /** In the request that asks for it: on Workers no other one could wait for the reply. */
  const send = () =>
    new Promise<void>((resolve) => {
      const spans = collected.splice(0)
      if (spans.length === 0) resolve()
      else exporter.export(spans, () => resolve()) // an export that fails stops nothing
    })
  return {
    flush: () => (batches ? provider.forceFlush().catch(() => {}) : send()),
    async close() {
      if (!batches) await send()
      await provider.shutdown().catch(() => {})
    },
  }
}

/** Prompts are long, where somebody wants them. */
const MOST_CHARACTERS = 32_768
/** Spans that wait for a `flush`; what comes after is dropped. */
const MOST_SPANS = 2_048

type Collected = Parameters<SpanProcessor['onEnd']>[0][]

function collecting(into: Collected): SpanProcessor {
  return {
    onStart() {},
    onEnd(span) {
      const isSampled = (span.spanContext().traceFlags & 1) === 1
      if (isSampled && into.length < MOST_SPANS) into.push(span)
    },
    forceFlush: async () => {},
    shutdown: async () => {},
  }
}

function toSampler(
  sdk: typeof import('@opentelemetry/sdk-trace'),
  { name, arg }: TelemetrySettings['sampler'],
) {
  const ratio = Number(arg ?? 1)
  const rootOf = (kind: string) => {
    if (kind === 'always_off') return new sdk.AlwaysOffSampler()
    if (kind === 'traceidratio') return new sdk.TraceIdRatioBasedSampler(Number.isFinite(ratio) ? ratio : 1)
    return new sdk.AlwaysOnSampler()
  }
  const based = /^parentbased_(.+)$/.exec(name)?.[1]
  return based ? new sdk.ParentBasedSampler({ root: rootOf(based) }) : rootOf(name)
}
