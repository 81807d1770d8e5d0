import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ServedHub, serveHub } from './support/served-hub.ts'

const root = new URL('../..', import.meta.url).pathname
const page = readFileSync(join(root, 'infra/docs/clients.md'), 'utf8')
const blocks = Array.from(page.matchAll(/```(js|sh)\n([\s\S]+?)```/g), ([, language = '', code = '']) => ({
  language,
  code,
  title: code.split('\n')[0]!,
}))

let hub: ServedHub
let directory: string
beforeAll(async () => {
  hub = await serveHub()
  directory = mkdtempSync(join(root, 'node_modules/.clients-page-')) // where packages are found
})
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true })
  await hub[Symbol.asyncDispose]()
})

it.each(blocks)('the page’s lines work: $title', async ({ language, code }) => {
  const text = code.replaceAll('http://127.0.0.1:8787', hub.url)
  const file = join(directory, 'lines.mjs')
  writeFileSync(file, text)
  const env = { PATH: process.env.PATH, HUB_KEY: hub.key }
  const [command, args] = language === 'js' ? [process.execPath, [file]] : ['sh', ['-c', text]]
  const { stdout } = await promisify(execFile)(command, args, { env, cwd: directory })
  expect(stdout.replaceAll('\n', '')).toMatch(/You said:\s*Hello/)
})
