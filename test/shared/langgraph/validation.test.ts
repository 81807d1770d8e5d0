import { deltaChannelHistoryTests, specTest } from '@langchain/langgraph-checkpoint-validation'
import * as vitest from 'vitest'
import { createCheckpointSaver } from '../../../infra/langgraph.ts'
import { unique } from '../../support/app.ts'
import { startTestBridge } from '../../support/bridge.ts'
import { testRedisUrl } from '../../support/redis.ts'

/** LangGraph's own suite is written for Vitest's globals. */
const { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } = vitest
Object.assign(globalThis, { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it })

type Saver = ReturnType<typeof createCheckpointSaver>

let bridge: Awaited<ReturnType<typeof startTestBridge>>

beforeAll(async () => {
  bridge = await startTestBridge({ redisUrl: testRedisUrl() })
  await bridge.ready()
})
afterAll(() => bridge.close())

for (const [checkpointerName, connection] of [
  ['over RESP', () => ({ url: testRedisUrl() })],
  ['over HTTP', () => ({ url: bridge.url, token: bridge.token })],
] as const) {
  const initializer = {
    checkpointerName,
    createCheckpointer: () => createCheckpointSaver({ ...connection(), tenant: unique('tenant') }),
    destroyCheckpointer: (saver: Saver) => saver.close(),
  }
  specTest(initializer)
  deltaChannelHistoryTests(initializer)
}
