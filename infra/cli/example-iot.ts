import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UsageError } from './command.ts'
import type { ExampleCall } from './example.ts'

/** A device sends readings with curl; each is a feature of the device from then on. */
export async function runIotExample({ hub, key, say, signal }: ExampleCall) {
  await hub.send('/v1/feature-views/devices', { method: 'PUT', body: { features: { celsius: 'float' } } })
  const handler = { type: 'features', view: 'devices' }
  await hub.send('/v1/events/readings', { method: 'PUT', body: { handler, key: 'subject' } })
  const folder = await mkdtemp(join(tmpdir(), 'hub-device-'))
  try {
    const script = new URL('../examples/iot.sh', import.meta.url).pathname
    say(`${script}:`)
    const device = spawn('sh', [script], {
      ...{ cwd: folder, signal, stdio: ['ignore', 'pipe', 'inherit'] },
      env: { PATH: process.env.PATH, HUB_URL: hub.base, HUB_KEY: key ?? '' },
    })
    let said = ''
    device.stdout!.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    const [code] = await once(device, 'close')
    if (code !== 0) throw new UsageError('The device could not send its readings.')
    const read = (name: string) => JSON.parse(new RegExp(`^${name}: (.*)$`, 'm').exec(said)?.[1] ?? 'null')
    const { accepted, duplicates } = read('sent')
    const { status } = read('result')
    say(`  ${accepted} readings are in, ${duplicates} were there already; the last one is ${status}.`)
    const { features } = await hub.json<{ features: object }>('/v1/features/devices/attic')
    say(`What is known of the device: ${JSON.stringify(features)}`)
    return { example: 'iot', accepted, duplicates, status, features }
  } finally {
    await rm(folder, { recursive: true })
  }
}
