import { z } from 'zod'
import type { BreakerStatus } from '../shared/models/breaker-memory.ts'

export const Setting = z.strictObject({
  state: z.enum(['open', 'closed', 'auto']).describe('`auto`: as its calls decide, from a clean start'),
  seconds: z.int().min(1).max(31_536_000).optional().describe('then `auto`; absent: until it is set again'),
})

export const Breaker = z.object({
  name: z.string(),
  tenant: z.string(),
  state: z.enum(['closed', 'open', 'half-open']),
  manual: z.boolean(),
  seconds_left: z.number().nullable().describe('until it changes by itself'),
  succeeded: z.number().describe('calls in its window'),
  failed: z.number(),
})

/** A breaker as it is on the wire. */
export const shown = ({ leftMs, ...breaker }: BreakerStatus) => ({
  ...breaker,
  seconds_left: leftMs > 0 ? Math.ceil(leftMs / 1000) : null,
})
