import { type Context, Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import type { DescribedModel } from '../shared/inference/models.ts'
import { TENSOR_TYPES } from '../shared/inference/tensors.ts'
import type { App, Deps } from './deps.ts'
import { admitted, json, parseJson, query, replies } from './http.ts'

const Spec = z.object({
  name: z.string(),
  datatype: z.enum(TENSOR_TYPES),
  shape: z.array(z.int().min(-1)).describe('-1: any'),
})
const Server = z.object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) })
const Listed = z.object({
  name: z.string(),
  versions: z.array(z.string()).describe('the greatest first'),
  labels: z.record(z.string(), z.string()).describe('label → version'),
  default_version: z.string(),
})
const Model = Listed.extend({
  version: z.string(),
  platform: z.string(),
  inputs: z.array(Spec),
  outputs: z.array(Spec),
  max_batch: z.int().describe('rows of different requests that may be run together'),
  size: z.int().describe('in bytes'),
  sha256: z.string(),
  created_at: z.string(),
})
const Ready = z.object({ name: z.string(), ready: z.boolean() })

/** Specifications as JSON in a query parameter. */
const Specs = z
  .string()
  .transform((text) => parseJson(text, 'query'))
  .pipe(z.array(z.strictObject(Spec.shape)).min(1))
  .transform((specs) => specs.map(({ datatype, ...spec }) => ({ ...spec, type: datatype })))
  .optional()

const Upload = z.object({
  format: z.enum(['onnx', 'tensorflow', 'torch', 'tflite']).default('onnx'),
  inputs: Specs.describe('JSON: `[{name, datatype, shape}]`, where the format does not say them'),
  outputs: Specs.describe('likewise'),
  max_batch: z.coerce
    .number()
    .int()
    .min(1)
    .max(4096)
    .optional()
    .describe('by default 64 where a trial shows that rows do not depend on each other, else 1'),
})

/** As the protocol names them. */
const PLATFORMS = {
  onnx: 'onnx_onnxv1',
  tensorflow: 'tensorflow_graphdef',
  torch: 'pytorch_torchscript',
  tflite: 'tensorflow_tflite',
}

/** `/v2`: the server, its models, their versions and labels. */
export function inferModels({
  admission,
  models,
  serving,
  redis,
  version,
}: Pick<Deps, 'admission' | 'models' | 'serving' | 'redis' | 'version'>) {
  const member = admitted(admission, 'infer')
  const admin = admitted(admission, 'admin')

  async function describe(c: Context<App>, model: string, wanted?: string) {
    return c.json(shown(await models.describe(c.var.caller.tenant, model, wanted)))
  }

  async function ready(c: Context<App>, model: string, wanted?: string) {
    const lease = await serving.acquire(c.var.caller.tenant, model, wanted)
    lease.release()
    return c.json({ name: model, ready: true })
  }

  const described = describeRoute({
    summary: 'Describe a model or one of its versions',
    responses: replies(200, 'Its inputs and outputs', Model),
  })
  const isReady = describeRoute({
    summary: 'Whether a model can answer; loads it where it is not loaded yet',
    responses: replies(200, 'It can', Ready),
  })

  return new Hono<App>()
    .get(
      '/v2/health/live',
      describeRoute({
        summary: 'The process lives',
        security: [],
        responses: replies(200, 'It does', z.object({ live: z.literal(true) })),
      }),
      (c) => c.json({ live: true }),
    )
    .get(
      '/v2/health/ready',
      describeRoute({
        summary: 'Models can be loaded: Redis answers',
        security: [],
        responses: {
          ...replies(200, 'They can', z.object({ live: z.literal(true), ready: z.boolean() })),
          503: { description: 'Redis is away' },
        },
      }),
      async (c) => {
        const [pong] = await redis.wave([['PING']]).catch(() => [undefined])
        const ready = pong === 'PONG'
        return c.json({ live: true, ready }, ready ? 200 : 503)
      },
    )
    .get(
      '/v2',
      describeRoute({ summary: 'Describe the server', responses: replies(200, 'The server', Server) }),
      member,
      (c) => c.json({ name: 'redis-ai-hub', version, extensions: ['binary_tensor_data'] }),
    )
    .get(
      '/v2/models',
      describeRoute({
        summary: 'List models by name',
        responses: replies(200, 'The models', z.object({ data: z.array(Listed) })),
      }),
      member,
      async (c) => {
        const found = await models.list(c.var.caller.tenant)
        const data = found.map(({ defaultVersion, ...model }) => ({
          ...model,
          default_version: defaultVersion,
        }))
        return c.json({ data })
      },
    )
    .get('/v2/models/:model', described, member, (c) => describe(c, c.req.param('model')))
    .get('/v2/models/:model/ready', isReady, member, (c) => ready(c, c.req.param('model')))
    .get('/v2/models/:model/versions/:version', described, member, (c) =>
      describe(c, c.req.param('model'), c.req.param('version')),
    )
    .get('/v2/models/:model/versions/:version/ready', isReady, member, (c) =>
      ready(c, c.req.param('model'), c.req.param('version')),
    )
    .put(
      '/v2/models/:model/versions/:version',
      describeRoute({
        summary: 'Add a version of a model; it never changes, and the same bytes again are no change',
        requestBody: {
          required: true,
          content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
        },
        responses: { ...replies(201, 'It was added', Model), ...replies(200, 'It was there', Model) },
      }),
      admin,
      query(Upload),
      async (c) => {
        const { model: name, version } = c.req.param()
        const { max_batch: maxBatch, ...upload } = c.req.valid('query')
        const bytes = await readBytes(c)
        const { model, created } = await models.put(c.var.caller.tenant, name, version, {
          ...upload,
          ...{ bytes, maxBatch },
        })
        return c.json(shown(model), created ? 201 : 200)
      },
    )
    .delete(
      '/v2/models/:model/versions/:version',
      describeRoute({
        summary: 'Delete a version that no label leads to',
        responses: { 204: { description: 'Deleted' } },
      }),
      admin,
      async (c) => {
        const { model, version } = c.req.param()
        await models.delete(c.var.caller.tenant, model, version)
        return c.body(null, 204)
      },
    )
    .put(
      '/v2/models/:model/labels/:label',
      describeRoute({
        summary: 'Lead a label to a version; `stable` answers those who name no version',
        responses: replies(
          200,
          'The label',
          z.object({ name: z.string(), label: z.string(), version: z.string() }),
        ),
      }),
      admin,
      json(z.strictObject({ version: z.string().min(1).max(64) })),
      async (c) => {
        const { model: name, label } = c.req.param()
        const { version } = c.req.valid('json')
        await models.label(c.var.caller.tenant, name, label, version)
        return c.json({ name, label, version })
      },
    )
    .delete(
      '/v2/models/:model/labels/:label',
      describeRoute({
        summary: 'Remove a label; its version stays',
        responses: { 204: { description: 'Removed' } },
      }),
      admin,
      async (c) => {
        const { model, label } = c.req.param()
        await models.unlabel(c.var.caller.tenant, model, label)
        return c.body(null, 204)
      },
    )
}

async function readBytes(c: Context<App>): Promise<Uint8Array> {
  const type = c.req.header('content-type') ?? 'application/octet-stream'
  if (/^application\/octet-stream\b/i.test(type)) return new Uint8Array(await c.req.arrayBuffer())
  const message = `Content-Type is \`${type}\`. Send the model’s bytes as \`Content-Type: application/octet-stream\`.`
  throw new HubError({ code: 'unsupported_media_type', status: 415, message })
}

function shown(model: DescribedModel): z.output<typeof Model> {
  const { defaultVersion, maxBatch, createdAt, format, inputs, outputs, ...rest } = model
  const specs = (of: typeof inputs) =>
    of.map(({ name, type, shape }) => ({ name, datatype: type, shape: [...shape] }))
  return {
    ...rest,
    ...{ default_version: defaultVersion, platform: PLATFORMS[format] },
    ...{ inputs: specs(inputs), outputs: specs(outputs) },
    ...{ max_batch: maxBatch, created_at: createdAt },
  }
}
