import { expect, it } from 'vitest'
import { startApp } from '../support/app.ts'

it('every route fits the quick router: one that does not would slow all of them down', async () => {
  await using hub = await startApp()
  await hub.get('/healthz')
  const { router } = hub.app as unknown as { router: { name: string } }
  expect(router.name).toBe('SmartRouter + RegExpRouter')
})
