import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { FromRuntime } from './lambda-runtime.ts'

interface Instance {
  child: ChildProcess
  invoke(event: unknown, onMessage?: (message: FromRuntime) => void): Promise<unknown>
}

/** The part of Lambda and API Gateway that a handler sees: events in, instances on demand, one request at a time each. */
export async function startLambdaFunction(file: string, handler: string, env: NodeJS.ProcessEnv) {
  const instances = new Set<Instance>()
  const idle: Instance[] = []
  let logs = ''

  async function start(): Promise<Instance> {
    const runtime = new URL('lambda-runtime.ts', import.meta.url).pathname
    const child = spawn(process.execPath, [runtime, file, handler], {
      env,
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (part: string) => {
        logs += part
      })
    }
    const lines = createInterface({ input: child.stdio[3] as Readable })
    let onMessage: (message: FromRuntime) => void
    let onEnd: (error: Error) => void
    lines.on('line', (line) => onMessage(JSON.parse(line)))
    child.on('exit', (code, signal) => onEnd(new Error(`The instance ended (${code ?? signal}):\n${logs}`)))
    const listen = (last: FromRuntime['kind'], forward?: (message: FromRuntime) => void) =>
      new Promise<FromRuntime>((resolve, reject) => {
        onEnd = reject
        onMessage = (message) => (message.kind === last ? resolve(message) : forward?.(message))
      })

    const instance: Instance = {
      child,
      async invoke(event, forward) {
        // Again and again: it may be just about to stop itself after the last event.
        const thaw = setInterval(() => child.kill('SIGCONT'), 5)
        const done = listen('done', (message) => {
          if (message.kind === 'begun') clearInterval(thaw)
          else forward?.(message)
        }).finally(() => clearInterval(thaw))
        child.kill('SIGCONT')
        ;(child.stdin as Writable).write(`${JSON.stringify(event)}\n`)
        const { result, error } = (await done) as Extract<FromRuntime, { kind: 'done' }>
        if (error) throw new Error(error)
        return result
      },
    }
    instances.add(instance)
    await listen('loaded')
    return instance
  }

  async function invoke(event: unknown, onMessage?: (message: FromRuntime) => void) {
    const instance = idle.pop() ?? (await start())
    const result = await instance.invoke(event, onMessage)
    idle.push(instance)
    return result
  }

  const server = createServer(async (request, response) => {
    try {
      const event = await toEvent(request)
      if (handler === 'streamHandler') await invoke(event, (message) => pass(message, response))
      else send(response, (await invoke(event)) as Result)
    } catch (error) {
      logs += `${error}\n`
      if (!response.headersSent) response.writeHead(502)
      response.end()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  const stop = async () => {
    server.close()
    server.closeAllConnections()
    await Promise.all(
      [...instances].map(async ({ child }) => {
        if (child.exitCode !== null || child.signalCode !== null) return
        child.kill('SIGKILL')
        await once(child, 'exit')
      }),
    )
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    logs: () => logs,
    /** How many instances were started. */
    get instances() {
      return instances.size
    },
    async fireSchedule() {
      const resources = ['arn:aws:events:eu-central-1:123456789012:rule/hub-schedule']
      await invoke({ source: 'aws.events', 'detail-type': 'Scheduled Event', resources, detail: {} })
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

interface Result {
  statusCode: number
  headers?: Record<string, string>
  cookies?: string[]
  body?: string
  isBase64Encoded?: boolean
}

/** An event of payload format 2.0: API Gateway's HTTP APIs and function URLs send the same. */
async function toEvent(request: IncomingMessage) {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  const body = Buffer.concat(parts)
  const { pathname, search } = new URL(request.url!, 'http://localhost')
  const { cookie, ...headers } = request.headers
  const isText = /^(text\/|application\/(json|x-www-form-urlencoded))/.test(headers['content-type'] ?? '')
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: decodeURIComponent(pathname),
    rawQueryString: search.slice(1),
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])),
    ...(cookie && { cookies: cookie.split('; ') }),
    requestContext: {
      accountId: '123456789012',
      apiId: 'hub',
      domainName: request.headers.host,
      domainPrefix: 'hub',
      http: {
        method: request.method,
        path: pathname,
        protocol: 'HTTP/1.1',
        sourceIp: '127.0.0.1',
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: randomUUID(),
      routeKey: '$default',
      stage: '$default',
      time: '01/Nov/2026:00:00:00 +0000',
      timeEpoch: Date.now(),
    },
    ...(body.length > 0 && { body: body.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: body.length > 0 && !isText,
  }
}

function send(response: ServerResponse, result: Result) {
  sendHead(response, result)
  response.end(Buffer.from(result.body ?? '', result.isBase64Encoded ? 'base64' : 'utf8'))
}

function pass(message: FromRuntime, response: ServerResponse) {
  if (message.kind === 'head') sendHead(response, message.head)
  if (message.kind === 'chunk') response.write(Buffer.from(message.base64, 'base64'))
  if (message.kind === 'end') response.end()
}

function sendHead(response: ServerResponse, { statusCode, headers, cookies = [] }: Result) {
  response.writeHead(statusCode, { ...headers, ...(cookies.length > 0 && { 'set-cookie': cookies }) })
}
