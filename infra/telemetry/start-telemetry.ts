import { createMetrics } from './metrics.ts'
import { processGauges } from './process-gauges.ts'
import { readTelemetrySettings } from './settings.ts'
import type { Telemetry } from './telemetry.ts'
import { startTracing } from './tracing.ts'

/** Telemetry of a Node server. Throws where OpenTelemetry's variables are not right. */
export async function startTelemetry(variables: Record<string, string | undefined>) {
  const settings = readTelemetrySettings(variables)
  const { traces, captureContent } = settings
  const tracing = traces && {
    ...(await startTracing({ ...settings, traces }, { batches: true })),
    captureContent,
  }
  const isCounting = variables.HUB_METRICS !== 'off' || settings.metrics
  const metrics = isCounting
    ? createMetrics({ settings, byTenant: variables.HUB_METRICS_TENANTS === 'on' })
    : undefined
  metrics?.sample(processGauges())
  return {
    tracing,
    metrics,
    /** Sends what is left. */
    async close() {
      await Promise.all([tracing?.close(), metrics?.close()])
    },
  } satisfies Telemetry & { close(): Promise<void> }
}
