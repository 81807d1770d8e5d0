import axe from 'axe-core'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { launchChromium } from '../support/chromium.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub } from '../support/hub.ts'
import { testRedisUrl } from '../support/redis.ts'

let browser: Browser
let hub: NodeHub
beforeAll(async () => {
  ;[browser, hub] = await Promise.all([launchChromium(), startNodeHub({ REDIS_URL: testRedisUrl() })])
}, 300_000) // a Chromium may have to be fetched
afterAll(async () => {
  await browser?.close()
  await hub?.stop()
})

/** `/docs`, drawn, with what it asked for and complained of. */
async function open(colorScheme: 'light' | 'dark' = 'light', width = 1280) {
  const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } })
  const complaints: string[] = []
  const asked: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (request) => asked.push(request.url()))
  await page.goto(`${hub.url}/docs`)
  await page.getByRole('heading', { name: 'redis-ai-hub', level: 1 }).waitFor({ state: 'attached' })
  await page.waitForLoadState('networkidle')
  return { page, complaints, asked }
}

/** By axe-core, which is run past the page's policy: that lets no other script in. */
async function findings(page: Page) {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run())
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html }) => html.slice(0, 200)) }))
}

describe('the reference in Chromium', { timeout: 60_000 }, () => {
  it.each(['light', 'dark'] as const)(
    'is drawn in %s by this hub alone, without a complaint or a barrier',
    async (scheme) => {
      const { page, complaints, asked } = await open(scheme)
      expect(await findings(page)).toEqual([])
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
      expect(background).toBe(scheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(15, 15, 15)')
      expect(asked.filter((url) => new URL(url).origin !== hub.url)).toEqual([])
      expect(asked.length).toBeGreaterThan(3)
      expect(complaints).toEqual([])
      await page.close()
    },
  )

  it('tries an example as it stands, with the key that was put in', async () => {
    const { page, complaints, asked } = await open('light')
    await page.getByPlaceholder('Token').first().fill(ADMIN_KEY)
    await page.getByRole('button', { name: 'Test Request' }).first().click()
    const replied = page.waitForResponse((reply) => reply.request().method() === 'POST')
    await page.getByRole('button', { name: /^Send/ }).first().click()
    const reply = await replied
    expect({ status: reply.status(), body: reply.request().postDataJSON() }).toEqual({
      ...{ status: 200, body: expect.objectContaining({ model: 'local/local' }) },
    })
    await page.getByText('200 OK').waitFor()
    expect(complaints).toEqual([])
    expect(asked.filter((url) => new URL(url).origin !== hub.url)).toEqual([])
    await page.close()
  })

  it('fits a phone', async () => {
    const { page } = await open('light', 390)
    const wide = await page.evaluate(() => document.documentElement.scrollWidth)
    expect(wide).toBeLessThanOrEqual(390)
    await page.close()
  })
})
