import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ReceivedSpan {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  kind: number
  attributes: Record<string, unknown>
  links: { traceId: string }[]
  events: { name: string }[]
  status: { code?: number }
}

/** A collector: takes OTLP over HTTP in JSON and keeps what it was sent. */
export async function startOtlpReceiver() {
  const spans: ReceivedSpan[] = []
  /** Names of metrics. */
  const metrics = new Set<string>()
  const texts: string[] = []
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    const text = Buffer.concat(parts).toString()
    texts.push(text)
    const { resourceSpans = [], resourceMetrics = [] } = JSON.parse(text)
    for (const { scopeSpans } of resourceSpans)
      for (const scope of scopeSpans) spans.push(...scope.spans.map(toSpan))
    for (const { scopeMetrics } of resourceMetrics)
      for (const scope of scopeMetrics) for (const { name } of scope.metrics) metrics.add(name)
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ spans, metrics },
    /** All bodies as they came. */
    text: () => texts.join('\n'),
    async close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

type Value = { stringValue?: string; intValue?: number; doubleValue?: number; boolValue?: boolean } & {
  arrayValue?: { values: Value[] }
}

const toPlain = ({ arrayValue, ...plain }: Value): unknown =>
  arrayValue ? arrayValue.values.map(toPlain) : Object.values(plain)[0]

function toSpan(sent: Omit<ReceivedSpan, 'attributes'> & { attributes?: { key: string; value: Value }[] }) {
  const { attributes = [], links = [], events = [], ...rest } = sent
  const pairs = attributes.map(({ key, value }) => [key, toPlain(value)])
  return { ...rest, links, events, attributes: Object.fromEntries(pairs) } as ReceivedSpan
}
