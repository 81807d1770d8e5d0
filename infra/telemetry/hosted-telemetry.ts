import type { Log } from '../../functions/deps.ts'
import { readTelemetrySettings } from './settings.ts'
import type { Telemetry } from './telemetry.ts'

/**
 * Telemetry where nothing runs between requests: spans alone, sent by `flush` behind each answer. What is wrong with its variables is logged,
 * and keeps nobody from being served.
 */
export async function startHostedTelemetry(variables: Record<string, unknown>, log: Log): Promise<Telemetry> {
  try {
    const texts = Object.entries(variables).filter(
      (pair): pair is [string, string] => typeof pair[1] === 'string',
    )
    const settings = readTelemetrySettings(Object.fromEntries(texts))
    const { traces, captureContent } = settings
    if (!traces) return {}
    const { startTracing } = await import('./tracing.ts')
    return {
      tracing: { ...(await startTracing({ ...settings, traces }, { batches: false })), captureContent },
    }
  } catch (cause) {
    log.error({ msg: 'There are no traces', cause })
    return {}
  }
}
