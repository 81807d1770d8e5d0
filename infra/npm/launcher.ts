/**
 * The package's command. It runs on whatever Node there is: on the one that started it where that is new enough, else on the one that
 * npm brought with the package.
 */
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const LEAST = 24

const hub = new URL('../lib/hub.js', import.meta.url)
const running = process.versions.node
const isNewEnough = Number(running.split('.')[0]) >= LEAST
const node = isNewEnough ? undefined : broughtNode()

// npx puts a shell between, which does not hand SIGTERM on: who is left alone by it ends.
if (process.env.npm_command === 'exec') {
  const parent = process.ppid
  setInterval(() => process.ppid !== parent && process.kill(process.pid, 'SIGTERM'), 500).unref()
}

if (isNewEnough) await import(hub.href)
else if (node) relaunch(node)
else {
  console.error(`redis-ai-hub needs Node ${LEAST} or newer; this is Node ${running}. One of these is enough:
  nvm install ${LEAST}, brew install node, or the installer of nodejs.org
  Linux on x64 or arm64: install redis-ai-hub without --omit=optional, which brings a Node ${LEAST} of its own`)
  process.exitCode = 1
}

/** The optional dependency for this machine, where it was installed. */
function broughtNode(): string | undefined {
  const name = `node-${process.platform}-${process.arch}`
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'bin/node')
  } catch {
    return undefined
  }
}

/** Ends as the other one does. */
function relaunch(command: string) {
  const child = spawn(command, [fileURLToPath(hub), ...process.argv.slice(2)], { stdio: 'inherit' })
  // Ctrl-C of a terminal reaches the child by itself: twice would mean that they insist.
  const forward = (signal: NodeJS.Signals) => child.kill(signal)
  process.on('SIGTERM', forward).on('SIGHUP', forward)
  process.on('SIGINT', (signal) => process.stdin.isTTY || forward(signal))
  child.on('error', (error) => {
    console.error(`${command} cannot be run: ${error.message}`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    if (!signal) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
