import { z } from 'zod'

const sides = <T extends z.ZodType>(side: T) => ({ reference: side, current: side })

const missing_rate = z.object(sides(z.number())).describe('part of the rows without a value')
const psi = z
  .number()
  .nullable()
  .describe(
    'population stability index: below 0.1 no change, above 0.25 a great one; null where a side is empty',
  )

const Numbers = z
  .object({
    count: z.int(),
    mean: z.number(),
    std: z.number(),
    min: z.number(),
    max: z.number(),
    quantiles: z.record(z.enum(['p05', 'p25', 'p50', 'p75', 'p95']), z.number()),
  })
  .nullable()
const Categories = z.object({
  count: z.int(),
  shares: z.record(z.string(), z.number()).describe('of the 50 most frequent; `…` stands for the others'),
})

/** A column of a skew report. */
export const DriftReply = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('numeric'),
    missing_rate,
    ...sides(Numbers),
    psi,
    ks: z.number().nullable().describe('Kolmogorov–Smirnov statistic, from 0 to 1'),
  }),
  z.object({ type: z.literal('categorical'), missing_rate, ...sides(Categories), psi }),
  z.object({ type: z.literal('other'), missing_rate }),
])
