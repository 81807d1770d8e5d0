import type { Caller } from '../admission.ts'
import { HubError } from '../errors.ts'
import type { Usage } from '../metering/usage.ts'
import type { Infer, Inference } from './infer.ts'
import { writeReply } from './oip-reply.ts'
import { readInputs, wantsBinary } from './oip-request.ts'
import { type OipReply, OipRequest } from './oip-schema.ts'

export interface OipCall {
  caller: Caller
  model: string
  version?: string
  signal: AbortSignal
  defer(work: Promise<unknown>): void
}

export interface OipOptions {
  infer: Infer
  usage: Pick<Usage, 'record'>
  /** Told of each run of a model that is there. What it returns is deferred. */
  observe?: Observe
}

type Observe = (run: {
  tenant: string
  model: string
  ms: number
  failed: boolean
}) => Promise<void> | undefined

/** What models answer in the words of the Open Inference Protocol; each request counts in the usage of `infer/<model>`. */
export function createOip({ infer, usage, observe }: OipOptions) {
  const oip = {
    /**
     * `binary`: what follows the JSON of the request. Where the reply has a `headerLength`, bytes follow its JSON.
     *
     * Errors: `HubError` `model_not_allowed` (403), `not_a_number` (422), those of `Infer`; `param` is a path in the request.
     */
    async answer(
      call: OipCall,
      request: OipRequest,
      binary?: Uint8Array,
    ): Promise<ReturnType<typeof writeReply>> {
      const { caller, model, version, signal, defer } = call
      refuseForeignModel(caller, model)
      const inputs = readInputs(request, binary)
      const outputs = request.outputs?.map(({ name }) => name)
      const since = performance.now()
      const tell = (failed: boolean) => {
        const work = observe?.({ tenant: caller.tenant, model, ms: performance.now() - since, failed })
        if (work) defer(work)
      }
      let done: Inference
      try {
        done = await infer(caller.tenant, model, version, inputs, { outputs, signal })
      } catch (error) {
        if (isOfModel(error)) tell(true)
        throw located(error, [...inputs.keys()])
      }
      tell(false)
      const work = usage.record({ tenant: caller.tenant, keyId: caller.keyId, model: `infer/${model}` })
      if (work) defer(work)
      const head = { model_name: done.model, model_version: done.version, id: request.id }
      return writeReply({ ...head, outputs: done.outputs }, (name) => wantsBinary(request, name))
    },

    /** `answer` for inputs that somebody else read: as objects, without bytes. */
    async answerJson(call: OipCall, inputs: unknown): Promise<OipReply> {
      const { success, data, error } = OipRequest.safeParse({ inputs })
      if (!success) {
        const [issue] = error.issues
        const param = issue!.path.join('.')
        throw new HubError({
          code: 'invalid_value',
          status: 400,
          message: `${param}: ${issue!.message}`,
          param,
        })
      }
      const { body } = await oip.answer(call, data)
      return JSON.parse(body as string)
    },
  }
  return oip
}

export type Oip = ReturnType<typeof createOip>

function refuseForeignModel({ models: allowed }: Caller, model: string) {
  if (!allowed || allowed.includes(model) || allowed.includes(`infer/${model}`)) return
  const message = `This key may not use infer/${model}. It may use: ${allowed.join(', ')}.`
  throw new HubError({ code: 'model_not_allowed', status: 403, message, param: 'model' })
}

/** The model failed, or nobody could run it in time: not the caller's doing. */
const isOfModel = (error: unknown) =>
  error instanceof HubError && (error.code === 'inference_failed' || error.status >= 500)

/** Runtimes name an input; callers look for its place. */
function located(error: unknown, names: readonly string[]): unknown {
  if (!(error instanceof HubError) || error.code !== 'invalid_tensor') return error
  const index = names.indexOf(error.param ?? '')
  if (index < 0) return error
  return new HubError({ ...error.options, param: `inputs[${index}]`, cause: error.cause })
}
