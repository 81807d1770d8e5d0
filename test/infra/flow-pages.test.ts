import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@redis/client'
import { expect, onTestFinished, test } from 'vitest'
import { startNodeHub, until } from '../support/hub.ts'
import { startTestRedis } from '../support/redis.ts'

const PAGES = ['messaging-patterns', 'caching', 'rag', 'multi-agent', 'inference']
const FIXTURES = new URL('../fixtures', import.meta.url).pathname

interface Example {
  title: string
  /** Shell commands, and what follows them on the page: what they print, what Redis sees. */
  steps: { sh: string; text?: string; redis: Seen[] }[]
}

interface Seen {
  keys: string[]
  commands: string[]
  /** All that Redis sees on these keys, or what matters of it, in this order. */
  isPart: boolean
}

test.each(await Promise.all(PAGES.map(read)))(
  '$title',
  async ({ steps }) => {
    await using redis = await startTestRedis()
    await using hub = await startNodeHub({ REDIS_URL: redis.url, HUB_ADMIN_KEY: '' })
    const directory = await mkdtemp(join(tmpdir(), 'hub-pages-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const monitor = createClient({ url: redis.url }).on('error', () => {})
    await monitor.connect()
    onTestFinished(() => monitor.destroy())
    const lines: string[] = []
    await monitor.monitor((line) => lines.push(String(line)))

    // One shell for the page, as a reader has it.
    const shell = spawn('bash', { cwd: directory, stdio: ['pipe', 'pipe', 'ignore'] })
    onTestFinished(() => void shell.kill())
    let printed = ''
    shell.stdout.setEncoding('utf8').on('data', (part: string) => {
      printed += part
    })
    for (const { sh, text, redis } of steps) {
      lines.length = 0
      printed = ''
      const here = sh.replaceAll('http://127.0.0.1:8787', hub.url).replaceAll('test/fixtures', FIXTURES)
      shell.stdin.write(`${here}\necho; echo DONE\n`)
      await until('the block has run', () => printed.endsWith('\nDONE\n'))
      const last = printed
        .replace(/\s+DONE\n$/, '')
        .split('\n')
        .at(-1)
      if (text !== undefined) expect(last?.trim(), sh).toBe(text)
      await sleep(500) // what is deferred, or follows the client's leaving
      for (const { keys, commands, isPart } of redis) {
        const seen = commandsOf(lines, keys)
        if (!isPart) expect(seen).toEqual(commands)
        else expect(inOrder(seen, commands), seen.join('\n')).toEqual(commands)
      }
    }
  },
  90_000,
)

/** Those of `wanted` that are among `seen`, each after the one before it. `…` stands for anything. */
function inOrder(seen: readonly string[], wanted: readonly string[]): string[] {
  let at = 0
  return wanted.filter((command) => {
    const shape = new RegExp(`^${command.split('…').map(literally).join('.*')}$`, 's')
    const found = seen.findIndex((one, i) => i >= at && shape.test(one))
    if (found < 0) return false
    at = found + 1
    return true
  })
}

const literally = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** What MONITOR shows of these keys, and of those that begin so where they end in a colon, as the page writes it. */
function commandsOf(lines: string[], keys: string[]): string[] {
  const isMeant = (key = '') => keys.some((one) => key === one || (one.endsWith(':') && key.startsWith(one)))
  const commands = lines.flatMap((line) => {
    const args = [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, text]) => text!.replace(/\\(.)/g, '$1'))
    const name = args[0]!.toUpperCase()
    if (name.startsWith('EVAL') || !isMeant(args[1])) return []
    return [normal([name, ...args.slice(1)])]
  })
  // The look of every five seconds is no part of the pattern.
  const meant = commands.filter((command) => !/^XRANGE \S+ \(<id> /.test(command))
  return meant.filter((command, i) => command !== meant[i - 1] || command.startsWith('GET'))
}

function normal(args: string[]): string {
  const value = args.map((text) => {
    if (!text.startsWith('{"model"')) return text
    const { model, timestamp, tokens, response } = JSON.parse(text)
    expect([typeof timestamp, typeof tokens, typeof response]).toEqual(['number', 'number', 'object'])
    return `{"model":"${model}","timestamp":…,"tokens":…,"response":…}`
  })
  return value
    .join(' ')
    .replace(/[0-9a-f]{64}/g, '<hash>')
    .replace(/\b\d{13}-\d+/g, '<id>')
    .replace(/\b\d{13}\b/g, '<ms>')
    .replace(/\b20\d{6}\b/g, '<day>')
    .replace(/ PX \d+$/, ' PX <ttl>')
}

async function read(name: string): Promise<Example> {
  const page = await readFile(new URL(`../../infra/docs/${name}.md`, import.meta.url), 'utf8')
  const steps: Example['steps'] = []
  for (const [, kind, info = '', body = ''] of page.matchAll(/^```([\w-]+) ?(.*)\n([\s\S]*?)^```$/gm)) {
    const step = steps.at(-1)
    if (kind === 'sh') steps.push({ sh: body, redis: [] })
    else if (kind === 'text') step!.text = body.trim()
    else
      step!.redis.push({
        keys: info.split(' '),
        commands: body.trim().split('\n'),
        isPart: kind === 'redis-part',
      })
  }
  return { title: `${name}: Redis sees the commands of the page`, steps }
}
