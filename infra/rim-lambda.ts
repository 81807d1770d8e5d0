import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { Hono } from 'hono'
import { handle, type LambdaContext, type LambdaEvent, streamHandle } from 'hono/aws-lambda'
import { createAssetsFiles } from '../shared/drivers/assets-files.ts'
import type { ModelRuntime } from '../shared/ports/model-runtime.ts'
import { createDeferred } from './deferred.ts'
import { wireHosted } from './hosted.ts'
import { createLog } from './log.ts'
import { startHostedTelemetry } from './telemetry/hosted-telemetry.ts'

type Stream = (event: LambdaEvent, stream: object, context: LambdaContext) => Promise<void>
type Schedule = { source: 'aws.events' | 'aws.scheduler'; resources?: string[] }
declare const awslambda: { streamifyResponse(handler: Stream): Stream }

/**
 * `handler` behind API Gateway and schedules, `streamHandler` behind a streaming function URL; `modelRuntime` where the package
 * carries one.
 */
export function createLambda(
  env: Record<string, string | undefined>,
  { modelRuntime }: { modelRuntime?: ModelRuntime } = {},
) {
  const log = createLog(env)
  const telemetry = startHostedTelemetry(env, log)
  const hub = telemetry.then((telemetry) =>
    wireHosted(env, {
      ...{ sharesRequests: false, freezes: true, tallyDelayMs: 0, log, telemetry, modelRuntime },
      assets: createAssetsFiles(join(env.LAMBDA_TASK_ROOT ?? process.cwd(), 'dist/face')), // packaged beside it
      longestStreamMs: 20_000, // the HTTP API gives up after 30 s, and hands over what was streamed as a whole
      // The caller waits for what is deferred; the schedule for what the function's timeout allows.
      drains: { kickMs: 5_000, scheduledMs: 20_000 },
    }),
  )
  const { defer, settled } = createDeferred(log)
  const app = new Hono().all('*', async (c) => (await hub).app.fetch(c.req.raw, { defer }))
  const answer = handle(app)

  /** Lambda stops the clock when this returns, so nothing may be left to do. */
  async function handler(event: LambdaEvent | Schedule, context: LambdaContext) {
    await thawed()
    const isSchedule = 'source' in event
    const result = isSchedule
      ? (await hub).scheduled(event.resources?.[0] ?? event.source)
      : answer(event, context)
    await result
    await over()
    return result
  }

  async function over() {
    await settled()
    await (await telemetry).tracing?.flush()
  }

  function streaming(): Stream {
    const stream = streamHandle(app) as unknown as Stream
    return awslambda.streamifyResponse(async (...call) => {
      await thawed()
      await stream(...call)
      await over()
    })
  }

  // Only Lambda's own runtime can stream: elsewhere there is nothing to make it of.
  return { handler, streamHandler: 'awslambda' in globalThis ? streaming() : undefined }
}

/** What became of our connections while we were frozen is heard before one of them is used: two turns of the loop. */
async function thawed() {
  await turn()
  await turn()
}
