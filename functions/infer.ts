import { type Context, Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import { HubError } from '../shared/errors.ts'
import { needsExactJson, parseExactJson } from '../shared/inference/oip-data.ts'
import { splitBinary } from '../shared/inference/oip-request.ts'
import { OipReply, OipRequest } from '../shared/inference/oip-schema.ts'
import type { App, Deps } from './deps.ts'
import { admitted, checked, parseJson, replies } from './http.ts'
import { inferModels } from './infer-models.ts'
import { pipelines } from './pipelines.ts'

type InferDeps = Pick<
  Deps,
  'admission' | 'oip' | 'models' | 'pipelines' | 'serving' | 'usage' | 'redis' | 'clock' | 'version'
>

/** Open Inference Protocol v2 over the tenant's own models, with the binary tensor data extension. */
export function infer(deps: InferDeps) {
  const { admission, oip } = deps
  const member = admitted(admission, 'infer')
  const described = describeRoute({
    summary: 'Run a model; without a version the label `stable` leads, else the greatest answers',
    description:
      'With `Inference-Header-Content-Length` (bytes of the JSON) the bytes of inputs follow the JSON: little-endian, row-major, in its order.',
    requestBody: {
      required: true,
      content: {
        'application/json': { schema: z.toJSONSchema(OipRequest) as object },
        'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
      },
    },
    responses: replies(200, 'The outputs; as bytes after the JSON where the request says so', OipReply),
  })

  async function run(c: Context<App>, model: string, version?: string) {
    const { request, binary } = await readRequest(c)
    const call = { caller: c.var.caller, model, version, signal: c.req.raw.signal, defer: c.env.defer }
    const { body, headerLength } = await oip.answer(call, request, binary)
    if (headerLength === undefined) return c.body(body, 200, { 'Content-Type': 'application/json' })
    return c.body(body, 200, {
      'Content-Type': 'application/octet-stream',
      'Inference-Header-Content-Length': String(headerLength),
    })
  }

  return new Hono<App>()
    .route('/', inferModels(deps))
    .route('/', pipelines(deps))
    .post('/v2/models/:model/infer', described, member, (c) => run(c, c.req.param('model')))
    .post('/v2/models/:model/versions/:version/infer', described, member, (c) =>
      run(c, c.req.param('model'), c.req.param('version')),
    )
}

/** Clients of this protocol send JSON without saying so. */
async function readRequest(c: Context<App>) {
  const headerLength = c.req.header('inference-header-content-length')
  if (headerLength !== undefined) {
    const { text, binary } = splitBinary(new Uint8Array(await c.req.arrayBuffer()), headerLength)
    return { request: checked(OipRequest, parse(text)), binary }
  }
  const type = c.req.header('content-type') ?? 'application/json'
  if (!/^application\/(json|octet-stream)\b/i.test(type)) {
    const message = `Content-Type is \`${type}\`. Send JSON as \`Content-Type: application/json\`.`
    throw new HubError({ code: 'unsupported_media_type', status: 415, message })
  }
  return { request: checked(OipRequest, parse(await c.req.text())) }
}

function parse(text: string): unknown {
  const value = parseJson(text)
  return needsExactJson(text) ? parseExactJson(text) : value
}
