import { setTimeout as sleep } from 'node:timers/promises'
import { until } from './hub.ts'

/** Resolves once Redis has counted no command for two seconds, but those of the connections themselves. */
export async function untilLeftAlone(client: { info(section: string): Promise<string> }): Promise<void> {
  let before = -1
  await until('Redis is left alone for two seconds', async () => {
    const stats = await client.info('commandstats')
    let now = 0
    for (const [, name, calls] of stats.matchAll(/cmdstat_([^:]+):calls=(\d+)/g))
      if (name !== 'ping' && name !== 'info') now += Number(calls)
    if (now === before) return true
    before = now
    await sleep(2_000)
    return false
  })
}
