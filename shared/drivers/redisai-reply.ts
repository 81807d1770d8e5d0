import { HubError } from '../errors.ts'
import type { ModelFormat, Tensor, TensorType } from '../ports/model-runtime.ts'
import type { ErrorReply, Reply } from '../ports/redis.ts'
import { fromTensorBytes } from '../tensors.ts'
import { BACKENDS, DTYPES } from './redisai-commands.ts'
import { failed, invalidModel, timedOut, unavailable, unsupportedFormat } from './runtime-dag.ts'

const TYPES = new Map(Object.entries(DTYPES).map(([type, name]) => [name, type as TensorType]))

/** Whether a stored model, by AI.MODELGET's META, is of this format and device. */
export function isStored(reply: Reply, format: ModelFormat, device: string): boolean {
  const meta = toRecord(reply)
  return toText(meta.backend) === BACKENDS[format] && toText(meta.device) === device
}

/**
 * The replies of a DAG's steps. Errors: `inference_timeout` (504) for the status TIMEDOUT that comes in their place;
 * `inference_failed` (422) for a step that failed, whose followers are not run.
 */
export function readSteps(reply: Reply, timeoutMs: number): Reply[] {
  if (toText(reply) === 'TIMEDOUT') throw timedOut(timeoutMs)
  if (!Array.isArray(reply)) throw failed(`RedisAI answered ${toText(reply)} in the place of results.`)
  for (const step of reply) {
    if (!(step instanceof Error)) continue
    // The server's own limit for one run ended it.
    if (/terminate flag/.test(step.message)) throw timedOut(timeoutMs, step)
    throw failed(`The model failed: ${step.message}`, step)
  }
  return reply
}

/** Of AI.TENSORGET's META and BLOB. */
export function readTensor(reply: Reply | undefined): Tensor {
  const { dtype, shape, blob } = toRecord(reply)
  const type = TYPES.get(toText(dtype))
  const bytes = blob instanceof Uint8Array ? blob : undefined
  const tensor = type && bytes && fromTensorBytes(type, (shape as number[] | undefined) ?? [], bytes)
  if (tensor) return tensor
  throw failed(`RedisAI answered a tensor of the type ${toText(dtype)} that cannot be read.`)
}

/** The model is not in the server: it was started anew, or Redis made room. */
export const isNoSuchModel = (reply: Reply | undefined): boolean =>
  reply instanceof Error && /model key is empty/i.test(reply.message)

/** What an error reply to one of our commands means. Many have no code before their text. */
export function toRuntimeError(reply: ErrorReply, asked: 'store' | 'run'): Error {
  const { message } = reply
  if (/unknown command/i.test(message)) {
    return unavailable(
      'This Redis has no RedisAI: load the module, or give HUB_REDISAI_URL of one that has it. ONNX models need none where ONNX Runtime is deployed too (infra/docs/deploying.md).',
      reply,
    )
  }
  if (/^WRONGTYPE/.test(message)) {
    const message = 'A key that is no model stands where RedisAI should keep a model: delete it.'
    return new HubError({ code: 'key_conflict', status: 409, message, cause: reply })
  }
  if (/backend/i.test(message)) {
    return unsupportedFormat(`This RedisAI cannot run models of this format: ${message}`)
  }
  if (NOT_NOW.test(message)) return unavailable(`RedisAI cannot do this now: ${message}`, reply)
  if (isNoSuchModel(reply)) return unavailable('RedisAI loses the model: it may be short of memory.', reply)
  if (/DEVICE|CUDA|^NOPERM/.test(message)) return unavailable(`RedisAI refuses the hub: ${message}`, reply)
  return asked === 'store'
    ? invalidModel(`RedisAI refused the model: ${message}`, reply)
    : failed(`RedisAI refused to run the models: ${message}`, reply)
}

const NOT_NOW =
  /^(OOM|LOADING|BUSY|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|NOREPLICAS|UNBLOCKED|MOVED|ASK)\b/

/** A flat list of names and values. */
function toRecord(reply: Reply | undefined): Record<string, Reply | undefined> {
  const list = Array.isArray(reply) ? reply : []
  const entries: [string, Reply | undefined][] = []
  for (let at = 0; at < list.length; at += 2) entries.push([toText(list[at]), list[at + 1]])
  return Object.fromEntries(entries)
}

const toText = (reply: Reply | undefined): string =>
  reply instanceof Uint8Array ? new TextDecoder().decode(reply) : String(reply)
