import { z } from 'zod'

export const Values = z.preprocess(
  // A record leaves this one out without a word.
  (given) => (Object.hasOwn(Object(given), '__proto__') ? undefined : given),
  z.record(z.string(), z.unknown()),
)
export const Version = z.object({
  namespace: z.string(),
  version: z.int().describe('rises with each write, also after the configuration was deleted'),
  values: z.record(z.string(), z.unknown()),
  at: z.string(),
  by: z.string().describe('id of the key that wrote it, or `admin`'),
  note: z.string().optional(),
  restores: z.int().optional().describe('the version that was rolled back to'),
})
export const History = z.object({
  data: z.array(
    Version.omit({ namespace: true, values: true }).extend({ deleted: z.literal(true).optional() }),
  ),
  has_more: z.boolean(),
})
export const Namespaces = z.object({
  data: z.array(z.object({ namespace: z.string(), version: z.int() })),
  has_more: z.boolean(),
})
