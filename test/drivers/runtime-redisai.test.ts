import { readFileSync } from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { buildOnnx } from '../../infra/examples/onnx-builder.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { createRedisRest } from '../../shared/drivers/redis-rest.ts'
import { toStore } from '../../shared/drivers/redisai-commands.ts'
import {
  isNoSuchModel,
  isStored,
  readSteps,
  readTensor,
  toRuntimeError,
} from '../../shared/drivers/redisai-reply.ts'
import { createRuntimeRedisai } from '../../shared/drivers/runtime-redisai.ts'
import type { ModelFile, Tensor } from '../../shared/ports/model-runtime.ts'
import type { ErrorReply, Reply } from '../../shared/ports/redis.ts'
import { ADD_SUBTRACT, fp32, identityOf, SOFTMAX } from '../ports/model-runtime.models.ts'
import { startReplay } from '../support/replay.ts'

/** What RedisAI 1.2.7 replied to real commands over RESP2, which is what the Redis port speaks; one reply a command. */
const RECORDED = readFileSync(new URL('../fixtures/redisai.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line))
  .filter(({ name, proto }) => proto === 2 && !/pipeline|-in-multi|two-replies/.test(name))
  .map(({ name, request_b64, reply_b64 }) => ({
    name: name as string,
    words: wordsOf(Buffer.from(request_b64, 'base64')),
    request: Buffer.from(request_b64, 'base64'),
    reply: Buffer.from(reply_b64, 'base64'),
  }))

const recorded = (name: string) => {
  const found = RECORDED.find((one) => one.name === name)
  if (!found) throw new Error(`Nothing was recorded as ${name}`)
  return found
}

const keys = { routing: '{ai}', model: (key: string) => `{ai}:${key}`, ttlSeconds: 60 }
const file = (key: string, more: Partial<ModelFile> = {}): ModelFile => ({
  ...{ key, format: 'onnx', bytes: SOFTMAX },
  ...more,
})
const x = fp32([1, 4], [1, 2, 3, 4])
const MISSING = '-ERR model key is empty\r\n'
const OK = '+OK\r\n'

/** The driver before a server that replies this. */
async function open(...replies: (string | Uint8Array)[]) {
  const replay = await startReplay(
    replies.map((reply) => (typeof reply === 'string' ? Buffer.from(reply, 'latin1') : reply)),
  )
  const redis = createRedisResp({ url: replay.url })
  onTestFinished(async () => {
    await redis.close()
    await replay.close()
  })
  return {
    redis,
    requests: replay.requests,
    sent: () => replay.requests.map((request) => wordsOf(request).join(' ')),
    runtime: createRuntimeRedisai({ redis, keys }),
  }
}

/** Every recorded reply, as it comes through the real client. */
async function readAll(): Promise<Map<string, Reply>> {
  const { redis } = await open(...RECORDED.map(({ reply }) => reply))
  const wave = await redis.wave(
    RECORDED.map(() => ['GET', 'next'] as const),
    { timeoutMs: 10_000, bytes: true },
  )
  return new Map(RECORDED.map(({ name }, i) => [name, wave[i]!]))
}

/** The words of a command, as bytes of Latin 1. */
function wordsOf(request: Buffer): string[] {
  const words: string[] = []
  let at = request.indexOf('\r\n') + 2
  while (at < request.length) {
    const end = request.indexOf('\r\n', at)
    const length = Number(request.toString('latin1', at + 1, end))
    words.push(request.toString('latin1', end + 2, end + 2 + length))
    at = end + 4 + length
  }
  return words
}

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')

/** Type, shape and blob as they stand in the bytes of a reply, found without parsing RESP. */
function tensorsIn(reply: Buffer): { dtype: string; shape: number[]; blob: string }[] {
  const pattern =
    /dtype\r\n\$\d+\r\n(\w+)\r\n\$5\r\nshape\r\n\*\d+\r\n((?::\d+\r\n)*)\$4\r\nblob\r\n\$(\d+)\r\n/g
  const text = reply.toString('latin1')
  return [...text.matchAll(pattern)].map((match) => {
    const [all, dtype, shape, length] = match
    const start = match.index + all.length
    const lengths = [...shape!.matchAll(/\d+/g)].map(Number)
    return { dtype: dtype!, shape: lengths, blob: text.slice(start, start + Number(length)) }
  })
}

const DTYPES: Record<string, string> = { FP32: 'FLOAT', FP64: 'DOUBLE' }
const shown = ({ type, shape, data }: Tensor) => ({
  dtype: DTYPES[type] ?? type,
  shape: [...shape],
  blob: latin1(new Uint8Array(data.buffer)),
})

describe('recorded replies', () => {
  test('of tensors are all read, bit for bit', async () => {
    const replies = await readAll()
    let read = 0
    for (const { name, words, reply } of RECORDED) {
      const [tensor] = tensorsIn(reply)
      if (!/tensorget/i.test(words[0]!) || !tensor) continue
      if (tensor.dtype === 'STRING') {
        expect(() => readTensor(replies.get(name))).toThrow(/STRING/)
        continue
      }
      expect(shown(readTensor(replies.get(name))), name).toEqual(tensor)
      read++
    }
    expect(read).toBe(6)
  })

  test('of DAGs are all understood: results, a step that failed, the time that was up, refusals', async () => {
    const replies = await readAll()
    const seen = { tensors: 0, results: 0, failed: 0, late: 0, refused: 0, lost: 0 }
    for (const { name, words, reply: bytes } of RECORDED) {
      if (!/^ai\.dagexecute(_ro)?$/i.test(words[0]!)) continue
      const reply = replies.get(name)!
      const text = bytes.toString('latin1')
      if (reply instanceof Error) {
        const error = toRuntimeError(reply as ErrorReply, 'run')
        const isLost = text === MISSING
        expect(error, name).toMatchObject(
          isLost ? { status: 503, code: 'runtime_unavailable' } : { status: 422, code: 'inference_failed' },
        )
        expect(isNoSuchModel(reply), name).toBe(isLost)
        seen[isLost ? 'lost' : 'refused']++
      } else if (text === '+TIMEDOUT\r\n' || text.includes('terminate flag')) {
        expect(() => readSteps(reply, 20), name).toThrow(expect.objectContaining({ status: 504 }))
        seen.late++
      } else if (/\r\n-[A-Z]/.test(text)) {
        expect(() => readSteps(reply, 20), name).toThrow(
          expect.objectContaining({ code: 'inference_failed' }),
        )
        seen.failed++
      } else {
        const steps = readSteps(reply, 20)
        const tensors = steps.filter(
          (step) => Array.isArray(step) && latin1((step[4] as Uint8Array) ?? []) === 'blob',
        )
        expect(
          tensors.map((step) => shown(readTensor(step))),
          name,
        ).toEqual(tensorsIn(bytes))
        seen.tensors += tensors.length
        seen.results++
      }
    }
    expect(seen).toEqual({ tensors: 2, results: 17, failed: 4, late: 3, refused: 22, lost: 1 })
  })

  test('of AI.MODELGET tell of what format and for which device a model is', async () => {
    const replies = await readAll()
    const metas = RECORDED.filter(
      ({ words, reply }) => /modelget/i.test(words[0]!) && reply.includes('backend'),
    )
    for (const { name, reply } of metas) {
      const isLower = reply.includes('$3\r\ncpu\r\n')
      expect(isStored(replies.get(name)!, 'onnx', isLower ? 'cpu' : 'CPU'), name).toBe(true)
      expect(isStored(replies.get(name)!, 'onnx', 'GPU'), name).toBe(false)
      expect(isStored(replies.get(name)!, 'torch', 'CPU'), name).toBe(false)
    }
    expect(metas.length).toBeGreaterThan(8)
  })

  test('of AI.MODELSTORE’s errors: what is the model’s fault, what the format’s, what the server’s', async () => {
    const replies = await readAll()
    const codeOf = (name: string) =>
      (toRuntimeError(replies.get(name) as ErrorReply, 'store') as { code?: string }).code
    for (const name of ['bad-blob', 'truncated-blob', 'empty-blob'])
      expect(codeOf(`modelstore-err-${name}`), name).toBe('invalid_model')
    for (const name of ['unknown-backend', 'backend-not-loaded'])
      expect(codeOf(`modelstore-err-${name}`), name).toBe('unsupported_format')
    for (const name of ['device', 'gpu'])
      expect(codeOf(`modelstore-err-${name}`), name).toBe('runtime_unavailable')
    expect(codeOf('modelget-err-wrongtype')).toBe('key_conflict')
  })
})

describe('commands', () => {
  test('a model is looked for, stored, and given a time to live', async () => {
    const { runtime, requests, sent } = await open(MISSING, OK, ':1\r\n')
    const model = await runtime.load(file('plain'))
    expect(sent()[0]).toBe('AI.MODELGET {ai}:plain META')
    expect(requests[1]).toEqual(recorded('modelstore-minimal').request)
    expect(sent()[2]).toBe('EXPIRE {ai}:plain 60')
    expect(model.outputs).toEqual([{ name: 'y', type: 'FP32', shape: [-1, 3] }])
  })

  test('one that is there already is not stored again', async () => {
    const { runtime, sent } = await open(recorded('modelget-meta').reply, ':1\r\n')
    await runtime.load(file('sm'))
    expect(sent()).toEqual(['AI.MODELGET {ai}:sm META', 'EXPIRE {ai}:sm 60'])
  })

  test('onto a key of another kind nothing is stored, nor does it get a time to live', async () => {
    const { runtime, sent } = await open(recorded('modelget-err-wrongtype').reply)
    await expect(runtime.load(file('str'))).rejects.toMatchObject({ status: 409, code: 'key_conflict' })
    expect(sent()).toHaveLength(1)
  })

  test('a DAG is one command; its names are ours, and nothing in it is a key but the models', async () => {
    const steps = '*6\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n'
    const tensor = tensorReply('FLOAT', [1, 4], x)
    const got = recorded('dagexecute-routing-default-format')
      .reply.toString('latin1')
      .split('+OK\r\n')
      .at(-1)!
    const { runtime, sent } = await open(
      MISSING,
      OK,
      ':1\r\n',
      MISSING,
      OK,
      ':1\r\n',
      `${steps}${got}${tensor}`,
    )
    const [softmax, addsub] = [
      await runtime.load(file('sm')),
      await runtime.load(file('as', { bytes: ADD_SUBTRACT })),
    ]
    const dag = {
      nodes: [
        { model: softmax, inputs: ['a |> SET'], outputs: ['p'] },
        { model: addsub, inputs: ['b', 'b'], outputs: ['{ai}:sm', 'd'] },
      ],
      outputs: ['p', '{ai}:sm', 'b'],
    }
    const b = fp32([1, 2], [0.5, 0.25])
    const inputs = new Map([
      ['a |> SET', x],
      ['b', b],
    ])
    // The reply is of other shapes than the models say: the driver takes the server's word.
    const answer = await runtime.execute(dag, inputs, { timeoutMs: 5_000 })
    expect(answer.get('p')).toMatchObject({ type: 'FP32', shape: [3, 3] })
    expect(answer.get('b')).toBe(b)
    const [head, ...rest] = sent().at(-1)!.split(' |> ')
    expect(head).toMatch(/^AI\.DAGEXECUTE ROUTING \{ai\} TIMEOUT \d+$/)
    expect(rest).toEqual([
      `AI.TENSORSET t0 FLOAT 1 4 BLOB ${latin1(new Uint8Array(x.data.buffer))}`,
      `AI.TENSORSET t1 FLOAT 1 2 BLOB ${latin1(new Uint8Array(b.data.buffer))}`,
      'AI.MODELEXECUTE {ai}:sm INPUTS 1 t0 OUTPUTS 1 t2',
      'AI.MODELEXECUTE {ai}:as INPUTS 2 t1 t1 OUTPUTS 2 t3 t4',
      'AI.TENSORGET t2 META BLOB',
      'AI.TENSORGET t3 META BLOB',
    ])
  })

  test('a model that the server has lost is stored again, and the DAG sent again, once', async () => {
    const result = `*3\r\n+OK\r\n+OK\r\n${tensorReply('FLOAT', [1, 4], x)}`
    const found = [MISSING, OK, ':1\r\n'] as const
    const { runtime, sent } = await open(...found, MISSING, ...found, result, MISSING, ...found, MISSING)
    const model = await runtime.load(file('sm'))
    const run = () =>
      runtime.execute(
        { nodes: [{ model, inputs: ['x'], outputs: ['y'] }], outputs: ['y'] },
        new Map([['x', x]]),
      )
    expect((await run()).get('y')!.data).toEqual(x.data)
    const commands = sent().map((line) => line.split(' ')[0])
    const stored = ['AI.MODELGET', 'AI.MODELSTORE', 'EXPIRE']
    expect(commands).toEqual([...stored, 'AI.DAGEXECUTE', ...stored, 'AI.DAGEXECUTE'])
    await expect(run()).rejects.toMatchObject({ status: 503, code: 'runtime_unavailable' })
  })

  test('TensorFlow is told what goes in and out, others are not; a large model goes in pieces', () => {
    const spec = (name: string) => ({ name, type: 'FP32' as const, shape: [-1, 4] })
    const more = { bytes: Uint8Array.of(1, 2), inputs: [spec('a'), spec('b')], outputs: [spec('c')] }
    expect(toStore('k', file('k', { format: 'tensorflow', ...more }), 'GPU:1')).toEqual([
      ...['AI.MODELSTORE', 'k', 'TF', 'GPU:1', 'INPUTS', 2, 'a', 'b', 'OUTPUTS', 1, 'c', 'BLOB', more.bytes],
    ])
    const bytes = new Uint8Array(70 * 2 ** 20)
    const torch = toStore('k', file('k', { format: 'torch', ...more, bytes }), 'CPU')
    expect(torch.slice(0, 5)).toEqual(['AI.MODELSTORE', 'k', 'TORCH', 'CPU', 'BLOB'])
    expect(torch.slice(5).map((piece) => (piece as Uint8Array).length / 2 ** 20)).toEqual([32, 32, 6])
  })
})

describe('refused before anything is sent', () => {
  const withOutput = (shape: number[] | undefined, op = 'Identity') =>
    buildOnnx({
      inputs: [{ name: 'x', type: 'FP32', shape: ['n', 4] }],
      outputs: [{ name: 'y', type: 'FP32', shape: shape ?? (undefined as never) }],
      nodes: [{ op, inputs: ['x'], outputs: ['y'] }],
    })
  test.each([
    ['an output of unknown shape', withOutput(undefined), 'invalid_model'],
    ['a scalar', withOutput([]), 'invalid_model'],
    ['no rows', withOutput([0, 4]), 'invalid_model'],
    ['halves', identityOf('FP16'), 'unsupported_format'],
    ['no model', new Uint8Array(9), 'invalid_model'],
  ])('%s', async (_, bytes, code) => {
    const { runtime, requests } = await open()
    await expect(runtime.load(file('m', { bytes }))).rejects.toMatchObject({ code })
    expect(requests).toHaveLength(0)
  })

  test('a format that does not say what it takes, without anybody else who says it', async () => {
    const { runtime } = await open()
    await expect(runtime.load(file('m', { format: 'torch' }))).rejects.toMatchObject({
      code: 'invalid_model',
    })
  })

  test('Redis over HTTP, which carries no bytes', async () => {
    const redis = createRedisRest({ url: 'http://127.0.0.1:1', token: 'none' })
    const runtime = createRuntimeRedisai({ redis, keys })
    const refused = { status: 503, message: expect.stringContaining('HUB_REDISAI_URL') }
    await expect(runtime.load(file('m'))).rejects.toMatchObject(refused)
  })
})

test('a Redis without RedisAI says so', async () => {
  const { runtime } = await open("-ERR unknown command 'AI.MODELGET', with args beginning with: \r\n")
  await expect(runtime.load(file('m'))).rejects.toMatchObject({
    ...{ status: 503, code: 'runtime_unavailable', message: expect.stringContaining('RedisAI') },
  })
})

function tensorReply(dtype: string, shape: number[], { data }: Tensor): string {
  const blob = latin1(new Uint8Array(data.buffer))
  const lengths = shape.map((length) => `:${length}\r\n`).join('')
  return (
    `*6\r\n$5\r\ndtype\r\n$${dtype.length}\r\n${dtype}\r\n$5\r\nshape\r\n*${shape.length}\r\n${lengths}` +
    `$4\r\nblob\r\n$${blob.length}\r\n${blob}\r\n`
  )
}
