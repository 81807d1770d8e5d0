import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@redis/client'
import { expect, onTestFinished, test } from 'vitest'
import { startNodeHub, until } from '../support/hub.ts'
import { startTestRedis } from '../support/redis.ts'

const PAGE = new URL('../../infra/docs/messaging-patterns.md', import.meta.url)

interface Example {
  heading: string
  /** Shell commands, and what follows them on the page: what they print, what Redis sees. */
  steps: { sh: string; text?: string; redis?: { keys: string[]; commands: string[] } }[]
}

test.each(await examples())(
  '$heading: Redis sees the commands of the page',
  async ({ steps }) => {
    await using redis = await startTestRedis()
    await using hub = await startNodeHub({
      ...{ REDIS_URL: redis.url, HUB_ADMIN_KEY: '', FUNCTIONS: 'realtime,cache-complete' },
    })
    const directory = await mkdtemp(join(tmpdir(), 'hub-patterns-'))
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
      shell.stdin.write(`${sh.replaceAll('http://127.0.0.1:8787', hub.url)}\necho; echo DONE\n`)
      await until('the block has run', () => printed.endsWith('\nDONE\n'))
      if (text !== undefined)
        expect(
          printed
            .replace(/\s+DONE\n$/, '')
            .split('\n')
            .at(-1),
        ).toBe(text)
      await sleep(500) // what is deferred, or follows the client's leaving
      if (redis) expect(commandsOf(lines, redis.keys)).toEqual(redis.commands)
    }
  },
  60_000,
)

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
    .replace(/ PX \d+$/, ' PX <ttl>')
}

async function examples(): Promise<Example[]> {
  const [, ...sections] = (await readFile(PAGE, 'utf8')).split(/^## /m)
  return sections.map((section) => {
    const steps: Example['steps'] = []
    for (const [, kind, info = '', body = ''] of section.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)) {
      if (kind === 'sh') steps.push({ sh: body })
      else if (kind === 'text') steps.at(-1)!.text = body.trim()
      else steps.at(-1)!.redis = { keys: info.split(' '), commands: body.trim().split('\n') }
    }
    return { heading: section.split('\n')[0]!, steps }
  })
}
