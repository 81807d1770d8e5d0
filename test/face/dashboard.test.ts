import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { buildFace } from '../../infra/face/build.ts'
import { launchChromium } from '../support/chromium.ts'
import { ADMIN_KEY, type NodeHub, startNodeHub } from '../support/hub.ts'
import { startProvider } from '../support/provider.ts'
import { startTestRedis } from '../support/redis.ts'
import { seed } from './seed.ts'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const FACE = join(import.meta.dirname, '../../dist/face')
/** What each tab shows once it is there. */
const READY: Record<string, string> = {
  Overview: '.plot canvas',
  Requests: '.facts dd',
  Cost: 'tbody code',
  Health: '.badge.bad',
  Work: 'td button',
  Agents: '.timeline li',
  Models: 'tbody tr',
  'Try it': 'textarea',
}
const TABS = Object.keys(READY)
/** Set: where screenshots of the docs are written to. */
const { FACE_SHOTS } = process.env

let redis: Awaited<ReturnType<typeof startTestRedis>>
let provider: Awaited<ReturnType<typeof startProvider>>
let hub: NodeHub
let browser: Browser
/** Of one who signed in: attempts are few a minute. */
let session: Awaited<ReturnType<BrowserContext['storageState']>>
let seeded: Awaited<ReturnType<typeof seed>>

beforeAll(async () => {
  redis = await startTestRedis()
  provider = await startProvider({
    text: 'Refunds are paid within five working days.',
    behave: (_, { model }) => (model === 'broken' ? { status: 500 } : undefined),
  })
  hub = await startNodeHub({
    REDIS_URL: redis.url,
    OPENAI_API_KEY: 'sk-test',
    OPENAI_BASE_URL: provider.url,
    HUB_BREAKER_MIN_CALLS: '3',
  })
  ;[browser, seeded] = await Promise.all([launchChromium(), seed(hub.url, ADMIN_KEY)])
  await using context = await browser.newContext()
  await context.request.post(`${hub.url}/v1/dashboard-session`, { data: { key: ADMIN_KEY } })
  session = await context.storageState()
}, 120_000)
afterAll(async () => {
  await browser?.close()
  await hub?.stop()
  await provider?.close()
  await redis?.stop()
})

/** A page that is signed in, whose faults are collected. */
async function open(options: BrowserContextOptions = {}, path = '/') {
  const context = await browser.newContext({ locale: 'en-GB', storageState: session, ...options })
  const faults: string[] = []
  const page = await context.newPage()
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()))
  page.on('pageerror', (error) => faults.push(String(error)))
  page.on('request', (request) => request.url().startsWith(hub.url) || faults.push(`asks ${request.url()}`))
  await page.goto(hub.url + path)
  await page.getByText('Live', { exact: true }).waitFor()
  return { page, context, faults, [Symbol.asyncDispose]: () => context.close() }
}

const choose = (page: Page, name: string) => page.getByRole('tab', { name }).click()

/** What axe finds grave. */
async function findings(page: Page) {
  await page.evaluate(AXE.replace(/^/, 'void function(){').concat('}()'))
  const { violations } = await page.evaluate(() => (window as unknown as { axe: Axe }).axe.run())
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => ({ id, at: nodes.map(({ target }) => target.join(' ')) }))
}
interface Axe {
  run(): Promise<{ violations: { id: string; impact: string; nodes: { target: string[] }[] }[] }>
}

it('what is built is what the sources say, and small', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'hub-face-'))
  try {
    await buildFace(directory)
    expect(readdirSync(FACE), 'dist/face is stale: npm run build:face').toEqual(readdirSync(directory))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  const own = readdirSync(FACE).filter((file) => file.startsWith('dashboard-'))
  const size = own.reduce((sum, file) => sum + gzipSync(readFileSync(join(FACE, file))).length, 0)
  console.log(`Dashboard: ${Math.round(size / 1024)} KiB gzipped`)
  expect(size).toBeLessThan(150_000)
})

it.each([
  ['light', 1280],
  ['dark', 1280],
  ['light', 360],
  ['dark', 360],
] as const)('%s at %i px: drawn, accessible, within the window, quiet', async (colorScheme, width) => {
  await using shown = await open({ colorScheme, viewport: { width, height: width === 360 ? 740 : 860 } })
  const { page, faults } = shown
  for (const tab of TABS) {
    await choose(page, tab)
    if (tab === 'Requests')
      await page
        .getByRole('button', { name: /^Details/ })
        .first()
        .click()
    if (tab === 'Agents') await page.getByRole('button', { name: 'Timeline of concierge' }).click()
    await page.locator(READY[tab]!).first().waitFor()
    expect({ tab, ...(await page.evaluate(overflow)) }).toEqual({ tab, wide: 0 })
    expect({ tab, findings: await findings(page) }).toEqual({ tab, findings: [] })
    if (FACE_SHOTS) await page.screenshot({ path: join(FACE_SHOTS, `${tab}-${colorScheme}-${width}.png`) })
    if (tab === 'Requests') await page.keyboard.press('Escape')
  }
  await choose(page, 'Overview')
  const drawn = await page.locator('.plot canvas').evaluateAll((all) =>
    all.map((canvas) => {
      const { width, height } = canvas as HTMLCanvasElement
      const { data } = (canvas as HTMLCanvasElement).getContext('2d')!.getImageData(0, 0, width, height)
      return data.some((value) => value > 0)
    }),
  )
  expect(drawn).toEqual([true, true, true, true])
  expect(faults).toEqual([])
})

/** How far the page is wider than its window, px. */
const overflow = () => ({ wide: Math.max(0, document.documentElement.scrollWidth - window.innerWidth) })

it('is walked by keyboard: skip link, tabs by arrows, no trap', async () => {
  await using shown = await open()
  const { page } = shown
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? '')
  await page.keyboard.press('Tab')
  expect(await focused()).toBe('Skip to the content')
  await page.getByRole('tab', { name: 'Overview' }).focus()
  for (const name of ['Requests', 'Cost']) {
    await page.keyboard.press('ArrowRight')
    expect([await focused(), await page.getByRole('tab', { selected: true }).textContent()]).toEqual([
      name,
      name,
    ])
  }
  await page.keyboard.press('End')
  expect(await focused()).toBe('Try it')
  await page.keyboard.press('ArrowRight')
  expect(await focused()).toBe('Overview')
  // Tab goes through all of the page and out of it.
  const stops: string[] = []
  await page.getByRole('tab', { name: 'Work' }).click()
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab')
    const at = await page.evaluate(() => document.activeElement?.tagName ?? '')
    stops.push(at)
    if (at === 'BODY') break
  }
  expect(stops).toContain('BODY')
})

it('shows what happens without being loaded again', async () => {
  await using shown = await open()
  const { page } = shown
  await choose(page, 'Requests')
  await seeded.complete('openai/fresh-model', 'What is new?')
  await page.getByRole('row', { name: /fresh-model/ }).waitFor()
  await page.getByLabel('Model').fill('openai/gpt-4o')
  await page.getByRole('button', { name: 'Search' }).click()
  await page.getByRole('row', { name: /fresh-model/ }).waitFor({ state: 'detached' })
})

it('puts a dead letter back', async () => {
  await using shown = await open()
  const { page } = shown
  await choose(page, 'Work')
  await page.getByRole('button', { name: '3 dead in orders: show them' }).click()
  const again = page.getByRole('button', { name: /^Replay \d/ })
  await again.first().waitFor()
  expect(await again.count()).toBe(3)
  await again.first().click()
  await page.getByText('1 put back into orders.').waitFor()
})

it('acts for the tenant that was chosen', async () => {
  await using shown = await open()
  const { page, faults } = shown
  await page.getByLabel('Tenant').selectOption('acme')
  await choose(page, 'Work')
  await page.getByRole('button', { name: '1 dead in parcels: show them' }).click()
  await page.getByRole('button', { name: /^Replay \d/ }).click()
  await page.getByText('1 put back into parcels.').waitFor()
  expect(faults).toEqual([])
})

it('streams a completion, finds words, and answers with quotes', async () => {
  await using shown = await open({}, '/#try-it')
  const { page, faults } = shown
  await page.getByLabel('Model').fill('openai/gpt-4o-mini')
  await page.getByLabel('Message').fill('When are refunds paid?')
  await page.getByRole('button', { name: 'Send' }).click()
  await page.locator('.answer', { hasText: 'Refunds are paid within five working days.' }).waitFor()
  await page.getByText('from the model').waitFor()

  await page.getByLabel('Search', { exact: true }).check()
  await page.getByLabel('Words to search for').fill('refund')
  await page.getByRole('button', { name: 'Search' }).click()
  await page.locator('.results mark', { hasText: 'refund' }).first().waitFor()

  await page.getByLabel('Ask', { exact: true }).check()
  await page.getByLabel('Question').fill('When is the refund paid?')
  await page.getByRole('button', { name: 'Ask' }).click()
  await page.locator('.citations mark', { hasText: 'within five working days' }).waitFor()
  await page.locator('.answer a.source').first().waitFor()
  if (FACE_SHOTS) await page.screenshot({ path: join(FACE_SHOTS, 'ask.png') })
  expect(faults).toEqual([])
})

it('asks for the admin key, and lets nobody in without it', async () => {
  await using context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(hub.url)
  await page.getByLabel('Admin key').fill('wrong')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('This is not the admin key.').waitFor()
  expect(await findings(page)).toEqual([])
  await page.getByLabel('Admin key').fill(ADMIN_KEY)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('Live', { exact: true }).waitFor()
  expect(await context.cookies()).toMatchObject([
    { name: 'hub_dashboard', httpOnly: true, sameSite: 'Strict' },
  ])
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Admin key').waitFor()
  expect(await context.cookies()).toEqual([])
})

it('says that the hub is away, when it tries again, and comes back', async () => {
  await using shown = await open()
  const { page } = shown
  const events = /overview\/events/
  await page.route(events, (route) => route.abort())
  await page.getByLabel('Window').selectOption('15 minutes')
  await page.getByText('The hub cannot be reached. Is it running?').waitFor()
  await page.getByText(/^again in/).waitFor()
  await page.unroute(events)
  await page.getByRole('button', { name: 'Now' }).click()
  await page.getByText('Live', { exact: true }).waitFor()
})
