import { z } from 'zod'
import type { Filter } from './filters.ts'

const Scalar = z.union([z.string(), z.number(), z.boolean()])

const Comparison = z.strictObject({
  type: z.enum(['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'nin']),
  key: z.string(),
  value: z.union([Scalar, z.array(Scalar).max(1_000)]),
})

/** OpenAI's filter objects. */
export const FilterSchema: z.ZodType<Filter, Filter> = z
  .union([
    Comparison,
    z.strictObject({
      type: z.enum(['and', 'or']),
      get filters() {
        return z.array(FilterSchema).max(100)
      },
    }),
  ])
  .meta({ id: 'Filter' })
