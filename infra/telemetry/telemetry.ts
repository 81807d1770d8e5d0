import type { Metrics } from './metrics.ts'
import type { Tracing } from './tracing.ts'

/** What a rim watches its hub with. Where a part is absent, nothing is installed for it. */
export interface Telemetry {
  tracing?: Tracing & { captureContent: boolean }
  metrics?: Metrics
}
