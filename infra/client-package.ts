/**
 * `npm run build:client`: the client as a package of its own in dist/client, to be packed with `npm pack`, and as one file without
 * imports for pages (`client.js`). It needs nothing else.
 */
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import packageJson from '../package.json' with { type: 'json' }
import { emitTypes } from './emit-types.ts'

const ROOT = new URL('..', import.meta.url).pathname

export async function buildClientPackage(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory, { recursive: true })
  await Promise.all([
    writeFile(join(directory, 'client.js'), await bundleClient()),
    writeTypes(directory),
    copyFile(join(ROOT, 'LICENSE'), join(directory, 'LICENSE')),
    // It is in the bundle.
    copyFile(
      join(ROOT, 'node_modules/eventsource-parser/LICENSE'),
      join(directory, 'LICENSE-eventsource-parser'),
    ),
    writeFile(join(directory, 'package.json'), JSON.stringify(manifest(), null, 2)),
  ])
}

/** The client as one module for browsers, Workers and Node. Throws where it would need anything of Node. */
export async function bundleClient(): Promise<string> {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: ['infra/client/client.ts'],
    ...{ bundle: true, minify: true, format: 'esm', platform: 'neutral', target: 'es2022' },
    ...{ mainFields: ['module', 'main'], write: false, logLevel: 'error', legalComments: 'none' },
  })
  return outputFiles[0]!.text
}

function manifest() {
  const { version, license } = packageJson
  return {
    ...{ name: 'redis-ai-hub-client', version, license, type: 'module', sideEffects: false },
    description: 'A typed client of redis-ai-hub for browsers, Workers and Node.',
    engines: { node: '>=20.3' },
    exports: { '.': { types: './types/client.d.ts', default: './client.js' } },
  }
}

const writeTypes = (directory: string) =>
  emitTypes('infra/client/client.ts', async (folder) => {
    const from = join(folder, 'infra/client')
    await mkdir(join(directory, 'types'))
    for (const file of await readdir(from)) {
      const text = await readFile(join(from, file), 'utf8')
      await writeFile(join(directory, 'types', file), text.replace(/(from '\.\/[\w.-]+)\.ts'/g, "$1.js'"))
    }
  })

if (import.meta.main) {
  const directory = join(ROOT, 'dist/client')
  await buildClientPackage(directory)
  console.log(`${directory}: npm pack it, and install it where the application runs`)
}
