import { type Context, Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { newId } from '../shared/ids.ts'
import { PipelineDefinition } from '../shared/inference/pipelines/definition.ts'
import type { PipelineRow, PipelineRun } from '../shared/inference/pipelines/pipeline-call.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, replies } from './http.ts'

const MOST_ROWS = 1_000

const Row = z.strictObject({
  inputs: z.record(z.string(), z.unknown()).describe('by name, as the definition says'),
  id: z
    .string()
    .regex(/^[\x21-\x7e]{1,200}$/, 'must be 1 to 200 printable characters, and no space')
    .optional()
    .describe('windows and the dataset count a row of the same id once; random by default'),
  time: z.iso.datetime({ offset: true }).optional().describe('when it was so; now by default'),
})
type Row = z.output<typeof Row>

const Request = z
  .strictObject({
    ...Row.partial().shape,
    rows: z.array(Row).min(1).max(MOST_ROWS).optional().describe('or many, in the order that they came in'),
  })
  .superRefine(({ rows, ...one }, context) => {
    const isOne = one.inputs !== undefined && rows === undefined
    const isMany = rows !== undefined && Object.values(one).every((field) => field === undefined)
    if (!isOne && !isMany) context.addIssue({ code: 'custom', message: 'takes `inputs`, or `rows`' })
  })

const Definition = z.looseObject({ name: z.string(), created_at: z.string(), updated_at: z.string() })
const Outputs = z.record(z.string(), z.union([z.number(), z.string(), z.boolean(), z.array(z.number())]))
const Answer = z.object({
  pipeline: z.string(),
  models: z.array(z.object({ name: z.string(), version: z.string() })),
})

type PipelineDeps = Pick<Deps, 'pipelines' | 'admission' | 'usage' | 'clock'>

/** `/v2/pipelines`: features, steps, models and what is made of their outputs, as one call. */
export function pipelines({ pipelines, admission, usage, clock }: PipelineDeps) {
  const member = admitted(admission, 'infer')
  const admin = admitted(admission, 'admin')

  async function run(c: Context<App>, name: string, given: readonly Row[], rowName: (n: number) => string) {
    const { caller } = c.var
    const { defer } = c.env
    const now = clock.now()
    const rows = given.map(({ inputs, id = newId(), time }, n): PipelineRow => {
      const at = time === undefined ? now : Date.parse(time)
      return { id, place: now + n / 4_096, time: at, source: { inputs } }
    })
    const done = await pipelines.run(name, rows, { caller, defer, signal: c.req.raw.signal, rowName })
    for (const model of done.models) {
      const { tenant, keyId } = caller
      const work = usage.record({ tenant, keyId, model: `infer/${model.name}` })
      if (work) defer(work)
    }
    return done
  }

  return new Hono<App>()
    .get(
      '/v2/pipelines',
      describeRoute({
        summary: 'List pipelines by name',
        responses: replies(200, 'The pipelines', z.object({ data: z.array(Definition) })),
      }),
      member,
      async (c) => c.json({ data: await pipelines.list(c.var.caller.tenant) }),
    )
    .put(
      '/v2/pipelines/:name',
      describeRoute({
        summary: 'Set a pipeline; every instance follows within a second',
        description:
          'Inputs (and features of their entities) → `preprocess` → `models` → `postprocess` → results. Models of one runtime are one call of it. It is checked against its models as they are now.',
        responses: {
          ...replies(201, 'It was made', Definition),
          ...replies(200, 'It was there', Definition),
        },
      }),
      admin,
      json(PipelineDefinition),
      async (c) => {
        const { tenant } = c.var.caller
        const { pipeline, created } = await pipelines.put(tenant, c.req.param('name'), c.req.valid('json'))
        return c.json(pipeline, created ? 201 : 200)
      },
    )
    .get(
      '/v2/pipelines/:name',
      describeRoute({ summary: 'Read a pipeline', responses: replies(200, 'Its definition', Definition) }),
      member,
      async (c) => c.json(await pipelines.get(c.var.caller.tenant, c.req.param('name'))),
    )
    .delete(
      '/v2/pipelines/:name',
      describeRoute({
        summary: 'Delete a pipeline and its alert rules',
        responses: { 204: { description: 'Deleted' } },
      }),
      admin,
      async (c) => {
        await pipelines.delete(c.var.caller.tenant, c.req.param('name'))
        return c.body(null, 204)
      },
    )
    .post(
      '/v2/pipelines/:name',
      describeRoute({
        summary: `Run a pipeline for one row, or for up to ${MOST_ROWS.toLocaleString('en')}`,
        description: 'A bad row fails the whole request; its place is in `param`.',
        responses: replies(
          200,
          'The results: `outputs` of one row, else `data` in the order of `rows`',
          Answer.extend({
            outputs: Outputs.optional(),
            data: z.array(z.object({ outputs: Outputs })).optional(),
          }),
        ),
      }),
      member,
      json(Request),
      async (c) => {
        const name = c.req.param('name')
        const { rows: many, ...one } = c.req.valid('json')
        const { models, rows } = many
          ? await run(c, name, many, (n) => `rows[${n}]`)
          : await run(c, name, [one as Row], () => '')
        const data = rows as Extract<PipelineRun['rows'][number], { outputs: unknown }>[]
        return c.json({ pipeline: name, models, ...(many ? { data } : data[0]) })
      },
    )
}
