import { z } from 'zod'
import { NAME } from '../../keys.ts'

/** What values, tensors and results are called. */
const Name = z
  .string()
  .regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
  .refine((name) => name !== '__proto__', 'is taken')
const ModelName = z.string().min(1).max(1_000)
const Numbers = z.union([z.number(), z.array(z.number()).min(1).max(4_096)])
const Width = z.int().min(1).max(65_536)

/** Types of what comes in; a boolean is 0 or 1 from then on. */
const ValueType = z.enum(['number', 'boolean', 'text', 'vector'])
const Default = z.union([z.number(), z.boolean(), z.string().max(1_024), z.array(z.number()).max(65_536)])

const Input = z.strictObject({
  type: ValueType.default('number'),
  dimensions: Width.optional().describe('of a vector'),
  path: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('where an event has it, dotted; by default `data.<name>`'),
  default: Default.optional().describe('stands in where there is none'),
})

const LookUp = z.strictObject({
  view: Name,
  entity: Name.describe('the input that says whose features'),
  max_age_seconds: z.number().min(0).optional().describe('what is older is as if it were not there'),
  values: z
    .record(
      Name,
      z.strictObject({
        type: ValueType.default('number'),
        dimensions: Width.optional().describe('of a vector'),
        default: Default.optional(),
      }),
    )
    .describe('by the feature’s name; in the steps it is called `<look-up>.<feature>`'),
})

const from = Name.describe('a value')
const as = Name.optional().describe('what it makes; by default it takes the place of `from`')

const Scale = z
  .strictObject({
    op: z.literal('scale'),
    ...{ from, as },
    mean: Numbers.optional().describe(
      '(x - mean) / std, each one number, or several in turn: one for each place',
    ),
    ...{ std: Numbers.optional(), min: Numbers.optional() },
    max: Numbers.optional().describe('or (x - min) / (max - min)'),
  })
  .superRefine(({ mean, std, min, max }, context) => {
    const isStandard = mean !== undefined && std !== undefined && min === undefined && max === undefined
    const isRange = min !== undefined && max !== undefined && mean === undefined && std === undefined
    if (!isStandard && !isRange)
      return context.addIssue({ code: 'custom', message: 'takes `mean` and `std`, or `min` and `max`' })
    const divisors = [std ?? []].flat()
    const isZero =
      divisors.includes(0) || [min ?? []].flat().some((low, n) => low === ([max].flat()[n] ?? max))
    if (isZero) context.addIssue({ code: 'custom', message: 'would divide by zero' })
  })

const rising = (values: readonly number[]) => values.every((value, n) => n === 0 || value > values[n - 1]!)

/** What is done to values before models take them. */
const Preprocess = z.discriminatedUnion('op', [
  Scale,
  z
    .strictObject({
      op: z.literal('clip'),
      ...{ from, as, min: z.number().optional(), max: z.number().optional() },
    })
    .refine(({ min, max }) => min !== undefined || max !== undefined, 'takes `min`, `max` or both'),
  z.strictObject({
    op: z.literal('log'),
    ...{ from, as },
    offset: z.number().default(0).describe('ln(x + offset); 1 where zero is to be zero'),
  }),
  z.strictObject({
    op: z.literal('one_hot'),
    ...{ from, as },
    categories: z
      .array(z.union([z.string().max(1_024), z.number()]))
      .min(1)
      .max(4_096)
      .refine((all) => new Set(all).size === all.length, 'has one twice'),
    unknown: z.enum(['error', 'zeros']).default('error'),
  }),
  z.strictObject({
    op: z.literal('bucketize'),
    ...{ from, as },
    boundaries: z
      .array(z.number())
      .min(1)
      .max(4_096)
      .refine(rising, 'must rise')
      .describe('makes how many of them are at most x'),
  }),
  z.strictObject({
    op: z.literal('window'),
    ...{ from, as },
    by: Name.describe('the input that says whose window'),
    length: z.int().min(1).max(1_024).describe('the latest so many values, the oldest first'),
    fill: z
      .union([z.literal('first'), z.number()])
      .default('first')
      .describe('stands in while there are fewer: the oldest one, or a number'),
    ttl_seconds: z
      .int()
      .min(1)
      .max(31_536_000)
      .default(86_400)
      .describe('kept for so long after the last one'),
  }),
  z.strictObject({
    op: z.literal('embed'),
    ...{ from, as },
    model: z.string().min(1).max(300).optional().describe('as `/v1/embeddings` takes it'),
    dimensions: Width.optional().describe('needed where the model’s are not known'),
  }),
  z.strictObject({
    op: z.literal('concat'),
    from: z.array(Name).min(1).max(1_000),
    as: Name,
    type: z
      .enum([
        'FP32',
        'FP64',
        'BOOL',
        'UINT8',
        'UINT16',
        'UINT32',
        'UINT64',
        'INT8',
        'INT16',
        'INT32',
        'INT64',
      ])
      .default('FP32')
      .describe('of the tensor that a model takes'),
    shape: z
      .array(z.int().min(1).max(65_536))
      .max(8)
      .optional()
      .describe('of a row, without the batch; by default all in one dimension'),
  }),
])
export type PreprocessStep = z.output<typeof Preprocess>

const Model = z.strictObject({
  model: Name,
  version: Name.optional().describe('or a label; by default as without a pipeline'),
  inputs: z
    .record(ModelName, Name)
    .default({})
    .describe('the model’s input → a value or an earlier model’s output; by default of the same name'),
  outputs: z
    .record(ModelName, Name)
    .default({})
    .describe('the model’s output → what it is called here; by default the same'),
})

const Labels = z.array(z.string().max(1_024)).min(1).max(100_000)

/** What is done to what models made. */
const Postprocess = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('softmax'), from, as }),
  z.strictObject({ op: z.literal('sigmoid'), from, as }),
  z.strictObject({ op: z.literal('round'), from, as, digits: z.int().min(0).max(15).default(0) }),
  z.strictObject({
    op: z.literal('pick'),
    ...{ from, as },
    index: z.union([z.int().min(0), z.array(z.int().min(0)).min(1).max(4_096)]),
  }),
  z.strictObject({
    op: z.literal('argmax'),
    ...{ from, as },
    labels: Labels.optional().describe('by default the place, from 0'),
  }),
  z.strictObject({
    op: z.literal('threshold'),
    ...{ from, as },
    value: z.number().describe('true from here on'),
    labels: Labels.length(2).optional().describe('in place of false and true'),
  }),
])
export type PostprocessStep = z.output<typeof Postprocess>

const Alert = z.strictObject({
  name: Name,
  when: z.strictObject({
    field: Name.describe('a result'),
    op: z.enum(['eq', 'ne', 'gt', 'gte', 'lt', 'lte']),
    value: z.union([z.string().max(500), z.number(), z.boolean()]),
  }),
  cooldown_seconds: z
    .int()
    .min(0)
    .max(2_592_000)
    .optional()
    .describe('quiet for so long after it fired; 60 by default'),
})

/** `"text"` is `{"type": "text"}`. */
const shorthand = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess((given) => (typeof given === 'string' ? { type: given } : given), schema)

const most = (count: number) =>
  [(entries: object) => Object.keys(entries).length <= count, `must be at most ${count}`] as const

/** What `PUT /v2/pipelines/{name}` takes. */
export const PipelineDefinition = z.strictObject({
  inputs: z
    .record(Name, shorthand(Input))
    .refine(...most(500))
    .describe('by name: a type such as `"number"`, or more of it'),
  features: z
    .record(Name, LookUp)
    .refine(...most(20))
    .default({})
    .describe('looked up in the feature store'),
  preprocess: z.array(Preprocess).max(200).default([]),
  models: z.array(Model).min(1).max(16).describe('each after those whose outputs it takes'),
  postprocess: z.array(Postprocess).max(200).default([]),
  results: z
    .array(Name)
    .min(1)
    .max(500)
    .optional()
    .describe('by default what `postprocess` makes, else what the models make'),
  alerts: z
    .array(Alert)
    .max(20)
    .default([])
    .describe('alert rules over the results of streams, named `<pipeline>.<alert>`'),
  record: Name.optional().describe('the dataset that inputs, features and results go to'),
})
export type PipelineDefinition = z.output<typeof PipelineDefinition>
export type LookUpSettings = z.output<typeof LookUp>
export type InputSettings = z.output<typeof Input>
