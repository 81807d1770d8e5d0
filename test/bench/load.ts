/** The load client, in a process of its own. */
import autocannon from 'autocannon'
import { percentile } from './statistics.ts'

export interface LoadSpec {
  url: string
  headers: Record<string, string>
  body: object
  /** Instead of `body`: each connection sends one after the other, and begins anew. */
  bodies?: object[]
  /** Every `[<id>]` in the body becomes another text with each request. */
  unique?: boolean
  /** What the body of a right reply contains. */
  expect: string
  connections: number
  seconds: number
}

export interface LoadResult {
  requests: number
  seconds: number
  p50_ms: number
  p99_ms: number
  /** Replies with another status than 2xx or a wrong body, and connections that broke. */
  failed: number
}

/** Each connection sends its next request when the reply to the last one is there, whole. */
async function load({
  url,
  headers,
  body,
  bodies,
  unique,
  expect,
  connections,
  seconds,
}: LoadSpec): Promise<LoadResult> {
  // autocannon's own histogram counts whole milliseconds.
  const latencies: number[] = []
  const start = performance.now()
  let end = start
  const { non2xx, errors, mismatches } = await new Promise<autocannon.Result>((resolve, reject) => {
    const run = autocannon(
      {
        url,
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
        ...(bodies && { requests: bodies.map((body) => ({ body: JSON.stringify(body) })) }),
        idReplacement: unique,
        verifyBody: (text) => text.includes(expect),
        connections,
        duration: seconds,
        sampleInt: 100,
      },
      (error, result) => (error ? reject(error) : resolve(result)),
    )
    run.on('response', (_client, _status, _bytes, milliseconds) => {
      latencies.push(milliseconds)
      end = performance.now()
    })
  })
  return {
    requests: latencies.length,
    seconds: (end - start) / 1000,
    p50_ms: percentile(latencies, 50),
    p99_ms: percentile(latencies, 99),
    failed: non2xx + errors + mismatches,
  }
}

process.on('message', async (spec: LoadSpec) => process.send!(await load(spec)))
process.on('disconnect', () => process.exit())
