import { onTestFinished, test } from 'vitest'
import { createConfiguration } from '../../../shared/configuration/configuration.ts'
import { unique } from '../../support/app.ts'
import { openRedis } from '../../support/open-redis.ts'
test.each(['resp', 'rest'] as const)('measure %s', async (driver) => {
  for (let i = 0; i < 2; i++) {
    const { redis, waves } = await openRedis({ onTestFinished }, driver)
    const configuration = createConfiguration({ redis })
    const tenant = unique('t')
    await configuration.put(tenant, 'app', { base: true }, { by: 'x' })
    waves.length = 0
    const t = performance.now()
    await Promise.all(Array.from({ length: 100 }, (_, n) => configuration.patch(tenant, 'app', { [`n${n}`]: n }, { by: 'x' })))
    console.log(driver, waves.length, 'waves', Math.round(performance.now() - t), 'ms')
  }
}, 60000)
