import { existsSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { type DebianPackages, fetchedPackages, fetchPackages } from '../../infra/debian/fetch-packages.ts'
import { run } from '../../infra/debian/run-command.ts'

/** A browser to start, and the environment that it needs. */
interface Found {
  command: string
  env?: Record<string, string>
}

const NAMES = ['chromium', 'chromium-headless-shell', 'google-chrome', 'google-chrome-stable', 'chrome']

/**
 * A Chromium without a window: `CHROMIUM_PATH`, one on PATH, or Debian's, fetched once as Redis is.
 *
 * @example await using browser = await launchChromium()
 */
export async function launchChromium(): Promise<Browser> {
  const { command, env } = await findChromium()
  return chromium.launch({
    executablePath: command,
    env: { ...(process.env as Record<string, string>), ...env },
    // Its sandbox needs rights that containers do not give; it opens the hub's own pages only.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  })
}

async function findChromium(): Promise<Found> {
  const { CHROMIUM_PATH, PATH = '' } = process.env
  if (CHROMIUM_PATH) return probe(CHROMIUM_PATH)
  const refusals: string[] = []
  const attempt = (search: Promise<Found>) =>
    search.catch((error: Error) => void refusals.push(error.message.trim()))
  for (const folder of PATH.split(delimiter)) {
    for (const name of NAMES) {
      const command = join(folder || '.', name)
      const found = existsSync(command) && (await attempt(probe(command)))
      if (found) return found
    }
  }
  const found =
    (await fetchedPackages(debianChromium)) ?? (await attempt(fetchPackages(debianChromium, console.log)))
  if (found) return found
  throw new Error(
    `No Chromium is here. Put one on PATH (apt install chromium), or name it: CHROMIUM_PATH=/usr/bin/google-chrome${refusals.map((line) => `\n  tried: ${line}`).join('')}`,
  )
}

const debianChromium: DebianPackages<Found> = {
  label: 'Chromium',
  packages: ['chromium-headless-shell', 'fonts-inter', 'fonts-dejavu-core'],
  forThisRelease: true,
  share: ['fonts'],
  directory: resolve(import.meta.dirname, '../../.cache/chromium'),
  async probe(root) {
    const libraries = (await readdir(join(root, 'usr/lib'))).filter((name) => name.endsWith('-linux-gnu'))
    const fonts = join(root, 'fonts.conf')
    await writeFile(fonts, fontsConf(root))
    return probe(join(root, 'usr/lib/chromium/chromium-headless-shell'), {
      // PulseAudio's own library is found by its path of installation, which is not ours.
      LD_LIBRARY_PATH: libraries
        .flatMap((name) => [join(root, 'usr/lib', name), join(root, 'usr/lib', name, 'pulseaudio')])
        .join(':'),
      FONTCONFIG_FILE: fonts,
    })
  },
}

async function probe(command: string, env?: Record<string, string>): Promise<Found> {
  await run(command, ['--version', '--no-sandbox'], { timeoutMs: 30_000, env })
  return { command, env }
}

const fontsConf = (root: string) => `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir>${root}/usr/share/fonts</dir>
  <alias binding="strong"><family>system-ui</family><prefer><family>Inter</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
  <cachedir>${root}/fonts-cache</cachedir>
</fontconfig>
`
