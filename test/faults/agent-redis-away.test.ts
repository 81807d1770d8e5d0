import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { agentKeys } from '../../shared/keys.ts'
import { startTestRedis } from '../support/redis.ts'
import { passTime } from './agent-scenario.ts'
import { calling, hasResults, oneAgent, startAct } from './one-agent.ts'

type Local = Awaited<ReturnType<typeof startTestRedis>>

const ways: [how: string, away: (local: Local) => Promise<unknown>][] = [
  [
    'stalls for three seconds',
    async ({ pid }) => {
      process.kill(pid, 'SIGSTOP')
      await sleep(3_000)
      process.kill(pid, 'SIGCONT')
    },
  ],
  [
    'is restarted',
    async (local) => {
      await local.stop()
      await sleep(1_000)
      const again = await startTestRedis({ ...local, persist: true })
      onTestFinished(again.stop)
    },
  ],
]

it.each(ways)(
  'Redis %s between the tools and the commit: the step ends, and each tool was called once',
  async (_, away) => {
    const directory = await mkdtemp(join(tmpdir(), 'hub-agent-redis-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const local = await startTestRedis({ directory, persist: true })
    const redis = createRedisResp({ url: local.url, onError() {} })
    onTestFinished(redis.close)
    let gone: Promise<unknown> | undefined
    const { tool, received } = await startAct({
      answer(n) {
        if (n === 2) gone = away(local)
        return { text: `result ${n}` }
      },
    })
    const { put, step, get, dueAt, hub, id, workUntil } = await oneAgent(
      { redis, url: local.url },
      (messages) => (hasResults(messages) ? undefined : calling(['act', { n: 1 }], ['act', { n: 2 }])),
    )
    await put({ tools: [tool] })
    const reply = await step({ input: 'go' }, 'k')
    expect(reply).toMatchObject({ status: 200, body: { step: 1, status: 'running', version: 2 } })
    await gone
    expect(await step({ input: 'go' }, 'k')).toEqual(reply)
    expect(await step()).toMatchObject({ status: 200, body: { step: 2, status: 'done', version: 3 } })
    expect(received).toHaveLength(2)
    expect((await get('/steps')).data).toHaveLength(2)
    await hub.settled()
    await passTime(redis)
    await workUntil('nobody is due', async () => (await dueAt()) === undefined)
    expect(await redis.wave([['EXISTS', agentKeys('default', id).calls]])).toEqual([0])
  },
  60_000,
)
