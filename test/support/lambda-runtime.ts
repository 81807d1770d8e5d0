/**
 * What Lambda does around a handler, in a process of its own: `node lambda-runtime.ts <file> <handler>` reads one event a
 * line from stdin and writes what comes of it to descriptor 3. Between two events it is stopped, as Lambda freezes it.
 */
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'

export type FromRuntime =
  | { kind: 'loaded' | 'begun' | 'end' }
  | { kind: 'head'; head: { statusCode: number; headers: Record<string, string>; cookies: string[] } }
  | { kind: 'chunk'; base64: string }
  | { kind: 'done'; result?: unknown; error?: string }

type Handler = (event: unknown, ...rest: unknown[]) => Promise<unknown>

/** Written when this returns, whatever stops the process next. */
const say = (message: FromRuntime) => void writeSync(3, `${JSON.stringify(message)}\n`)

const streaming = new Set<Handler>()
class ResponseStream extends Writable {
  head: Extract<FromRuntime, { kind: 'head' }>['head'] | undefined
  override _write(chunk: Buffer, _: BufferEncoding, next: () => void) {
    if (this.head) say({ kind: 'head', head: this.head })
    this.head = undefined
    say({ kind: 'chunk', base64: chunk.toString('base64') })
    next()
  }
  override _final(next: () => void) {
    say({ kind: 'end' })
    next()
  }
}

Object.assign(globalThis, {
  awslambda: {
    streamifyResponse(handler: Handler) {
      streaming.add(handler)
      return handler
    },
    HttpResponseStream: {
      from: (stream: ResponseStream, head: ResponseStream['head']) => Object.assign(stream, { head }),
    },
  },
})

const [file = '', name = ''] = process.argv.slice(2)
const loaded = (await import(file)) as Record<string, Handler>
const handler = loaded[name]
if (!handler) throw new Error(`${file} exports no ${name}`)
say({ kind: 'loaded' })

for await (const line of createInterface({ input: process.stdin })) {
  say({ kind: 'begun' })
  const event: unknown = JSON.parse(line)
  const context = { functionName: name, awsRequestId: '0', getRemainingTimeInMillis: () => 29_000 }
  try {
    if (streaming.has(handler)) await handler(event, new ResponseStream(), context)
    say({ kind: 'done', result: streaming.has(handler) ? undefined : await handler(event, context) })
  } catch (error) {
    say({ kind: 'done', error: String(error) })
  }
  process.kill(process.pid, 'SIGSTOP')
}
