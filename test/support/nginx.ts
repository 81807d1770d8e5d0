import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import {
  type DebianPackages,
  fetchedPackages,
  fetchPackages,
  unpackedCommand,
} from '../../infra/debian/fetch-packages.ts'
import { run } from '../../infra/debian/run-command.ts'
import { freePort } from '../../infra/local-redis/run-redis.ts'
import { until } from './hub.ts'

interface Program {
  command: string
  args: string[]
}

const unpacked: DebianPackages<Program> = {
  label: 'nginx',
  packages: 'nginx libc6 libcrypt1 libpcre2-8-0 libssl3t64 libzstd1 zlib1g'.split(' '),
  directory: new URL('../../.cache/nginx', import.meta.url).pathname,
  async probe(root) {
    const program = await unpackedCommand(root, 'usr/sbin/nginx')
    await run(program.command, [...program.args, '-v'], { timeoutMs: 10_000 })
    return program
  },
}

/** From PATH, fetched earlier, or fetched now: a test that needs nginx fails without it, and never skips. */
async function findNginx(): Promise<Program> {
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder || '.', 'nginx'))
  const command = onPath.find(existsSync)
  if (command) return { command, args: [] }
  return (await fetchedPackages(unpacked)) ?? fetchPackages(unpacked, console.log)
}

export interface TestNginx extends AsyncDisposable {
  url: string
  logs(): string
}

/**
 * nginx with `conf` (what would be in conf.d), where `listen 8080` is a port of its own.
 *
 * @example await using nginx = await startNginx(readFileSync('infra/gateways/nginx.conf', 'utf8'))
 */
export async function startNginx(conf: string): Promise<TestNginx> {
  const { command, args } = await findNginx()
  const prefix = await mkdtemp(join(tmpdir(), 'hub-nginx-'))
  const port = await freePort()
  if (!conf.includes('listen 8080;')) throw new Error('The configuration does not say `listen 8080;`')
  const site = conf.replace('listen 8080;', `listen 127.0.0.1:${port};`)
  await writeFile(join(prefix, 'nginx.conf'), configuration(prefix, site))
  const child = spawn(command, [...args, '-p', prefix, '-e', 'stderr', '-c', join(prefix, 'nginx.conf')])
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (text += part))
  const stop = async () => {
    process.off('exit', kill)
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    await rm(prefix, { recursive: true, force: true })
  }
  const url = `http://127.0.0.1:${port}`
  try {
    await until('nginx listens', async () => {
      if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}:\n${text}`)
      return fetch(url).then(
        () => true,
        () => false,
      )
    })
  } catch (error) {
    await stop()
    throw error
  }
  return { url, logs: () => text, [Symbol.asyncDispose]: stop }
}

/** One process in the foreground, its files in a folder of its own: nothing here needs root. */
const configuration = (prefix: string, site: string) => `
daemon off;
master_process off;
pid ${prefix}/pid;
error_log stderr notice;
events {}
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${prefix}/${name};`).join('\n  ')}
${site}
}
`
