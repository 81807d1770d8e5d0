import { createHash } from 'node:crypto'
import { Hono } from 'hono'
import { describeRoute, resolver } from 'hono-openapi'
import { z } from 'zod'
import { type DatasetRow, toLine } from '../shared/datasets/dataset-reader.ts'
import type { NewLabel, NewRow } from '../shared/datasets/dataset-row.ts'
import { HubError } from '../shared/errors.ts'
import { readItems } from './dataset-body.ts'
import { Time, toMs, toRange } from './dataset-time.ts'
import type { App, Deps } from './deps.ts'
import { admitted, IDEMPOTENCY_KEY, json, query, replies } from './http.ts'

const Id = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\u0000-\u001f\u007f]+$/, 'must hold no control characters')
  .refine((id) => id.isWellFormed(), 'is no valid Unicode')

const Row = z.strictObject({
  id: Id.optional().describe('a row of the same id is recorded once; random by default'),
  at: Time.optional().describe('when its features were served; now by default'),
  entity: z.string().max(256).optional(),
  features: z.record(z.string(), z.json()).describe('as they were served'),
  output: z.json().optional().describe('what the model made of them'),
  model: z.string().max(300).optional(),
  label: z.json().optional().describe('what turned out to be right'),
  label_at: Time.optional().describe('from when on the label was known; now by default'),
})
const Label = z.strictObject({
  label: z.json(),
  at: Time.optional().describe('from when on it was known; now by default'),
})
const RowLabel = Label.extend({ id: Id.describe('of the row') })

const Export = z.object({
  from: Time.optional().describe('the least time (`at`) of a row'),
  to: Time.optional().describe('the time before which a row is'),
  labelled: z.enum(['true', 'false']).optional().describe('only rows with a label, or only those without'),
  as_of: Time.optional().describe(
    'rows of later times, and labels that came to be known only later, are left out',
  ),
  after: Id.optional().describe('the id of a row: only those recorded after it'),
  limit: z.coerce.number().int().min(1).optional(),
})

const AppendedReply = z.object({
  accepted: z.int(),
  duplicates: z.int().describe('recorded before, by id: not again'),
  rows: z.array(z.object({ id: z.string() })).describe('in the order that they came in'),
})

const arrayOrLines = (item: z.ZodType) => ({
  required: true,
  content: {
    'application/json': { schema: resolver(z.array(item).min(1).max(1_000)) },
    'application/x-ndjson': { schema: resolver(item) },
  },
})

/** `/v1/datasets/{name}/rows`: rows and labels in, and the export. */
export function datasetRows({
  datasets,
  datasetReader,
  admission,
}: Pick<Deps, 'datasets' | 'datasetReader' | 'admission'>) {
  const member = admitted(admission, 'features')
  return new Hono<App>()
    .post(
      '/v1/datasets/:name/rows',
      describeRoute({
        summary: 'Record up to 1,000 rows: an array, or one a line',
        parameters: [IDEMPOTENCY_KEY],
        description:
          'A row without an id gets a random one, with an Idempotency-Key always the same one. A dataset begins with its first row.',
        requestBody: arrayOrLines(Row),
        responses: replies(201, 'They are recorded', AppendedReply),
      }),
      member,
      async (c) => {
        const given = await readItems(c, 'rows', Row)
        const key = c.req.header('idempotency-key')
        const rows = given.map((row, i) => toRow(key === undefined ? row : { id: idOf(key, i, row), ...row }))
        const { ids, ...counts } = await datasets.append(c.var.caller.tenant, c.req.param('name'), rows)
        return c.json({ ...counts, rows: ids.map((id) => ({ id })) }, 201)
      },
    )
    .post(
      '/v1/datasets/:name/labels',
      describeRoute({
        summary: 'Label up to 1,000 rows: an array, or one a line',
        requestBody: arrayOrLines(RowLabel),
        responses: replies(
          200,
          'How many were labelled',
          z.object({
            labelled: z.int(),
            missing: z.array(z.string()).describe('ids of rows that are not there'),
          }),
        ),
      }),
      member,
      async (c) => {
        const labels = (await readItems(c, 'labels', RowLabel)).map(toLabel)
        const missing = await datasets.label(c.var.caller.tenant, c.req.param('name'), labels)
        return c.json({ labelled: labels.length - missing.length, missing })
      },
    )
    .put(
      '/v1/datasets/:name/rows/:id/label',
      describeRoute({
        summary: 'Label a row; a correction counts from its own time on',
        responses: { 204: { description: 'It is labelled' } },
      }),
      member,
      json(Label),
      async (c) => {
        const { name, id } = c.req.param()
        const label = toLabel({ id, ...c.req.valid('json') })
        const [missing] = await datasets.label(c.var.caller.tenant, name, [label], () => 'body')
        if (missing !== undefined) throw unknownRow(name, id)
        return c.body(null, 204)
      },
    )
    .get(
      '/v1/datasets/:name',
      describeRoute({
        summary: 'Export rows with their labels, one a line, in the order in which they were recorded',
        description:
          'Point-in-time correct: a row has the features that were served at its time, whatever became of them, and with `as_of` only what was known then. Read as the caller takes it. A transfer that breaks off is continued with `after`, the id of the last whole line.',
        responses: {
          200: { description: 'Rows', content: { 'application/x-ndjson': { schema: resolver(Row) } } },
        },
      }),
      member,
      query(Export),
      async (c) => {
        const { labelled, as_of, limit, after, ...range } = c.req.valid('query')
        const wanted = {
          ...toRange(range),
          after,
          asOf: toMs(as_of),
          labelled: labelled === undefined ? undefined : labelled === 'true',
        }
        const pages = datasetReader.pages(c.var.caller.tenant, c.req.param('name'), wanted)
        // Before the reply begins, so that an error has its status.
        const first = await pages.next()
        return c.body(toLines(first, pages, limit), 200, {
          'Content-Type': 'application/x-ndjson; charset=utf-8',
        })
      },
    )
}

/** Nothing is read before the client took what came before it. */
function toLines(
  first: IteratorResult<DatasetRow[]>,
  pages: AsyncGenerator<DatasetRow[]>,
  limit = Number.POSITIVE_INFINITY,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let next: IteratorResult<DatasetRow[]> | undefined = first
  let left = limit
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        for (;;) {
          const { value: page, done } = next ?? (await pages.next())
          next = undefined
          const rows = done ? [] : page.slice(0, left)
          left -= rows.length
          if (rows.length > 0) controller.enqueue(encoder.encode(rows.map(toLine).join('')))
          if (done || left === 0) {
            await pages.return(undefined)
            return controller.close()
          }
          if (rows.length > 0) return
        }
      },
      cancel: async () => void (await pages.return(undefined)),
    },
    { highWaterMark: 0 },
  )
}

const toRow = ({ at, label_at, ...row }: z.output<typeof Row>): NewRow => ({
  ...row,
  at: toMs(at),
  labelAt: toMs(label_at),
})

const toLabel = ({ id, label, at }: z.output<typeof RowLabel>): NewLabel => ({ id, label, at: toMs(at) })

const idOf = (...parts: unknown[]) =>
  createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22)

const unknownRow = (name: string, id: string) =>
  new HubError({
    code: 'row_not_found',
    status: 404,
    message: `There is no row \`${id}\` in the dataset \`${name}\`: it was not recorded, or went because of the dataset's bounds.`,
    param: 'id',
  })
