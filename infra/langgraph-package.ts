/**
 * `npm run build:langgraph`: the checkpoint saver as a package of its own in dist/langgraph, to be packed with `npm pack`. An application
 * installs it without the hub, whose own dependencies take 600 MB and bring a Node.
 */
import { copyFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import packageJson from '../package.json' with { type: 'json' }
import { emitTypes } from './emit-types.ts'

const ROOT = new URL('..', import.meta.url).pathname

export async function buildLanggraphPackage(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true })
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ['infra/langgraph.ts'],
    outdir: directory,
    ...{ bundle: true, format: 'esm', platform: 'node', target: 'node22' },
    ...{ packages: 'external', metafile: true, logLevel: 'error' },
  })
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path))
  await Promise.all([
    writeTypes(directory),
    copyFile(join(ROOT, 'LICENSE'), join(directory, 'LICENSE')),
    writeFile(join(directory, 'package.json'), JSON.stringify(manifestOf(imports), null, 2)),
  ])
}

function manifestOf(imports: readonly string[]) {
  const { name, version, license, dependencies, devDependencies } = packageJson
  const packages = imports.flatMap((path) => /^(?!node:)(@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? [])
  const versions = (from: Record<string, string>, prefix: string) =>
    Object.fromEntries(
      [...new Set(packages)].sort().flatMap((one) => (one in from ? [[one, prefix + from[one]]] : [])),
    )
  return {
    ...{ name, version, license, type: 'module', engines: { node: '>=22' } },
    description: 'LangGraph checkpoints in any Redis, by core commands.',
    exports: { './langgraph': { types: './langgraph.d.ts', default: './langgraph.js' } },
    dependencies: versions(dependencies, ''),
    peerDependencies: versions(devDependencies, '^'),
  }
}

/** The entry's own declarations need no others. */
const writeTypes = (directory: string) =>
  emitTypes('infra/langgraph.ts', (folder) =>
    copyFile(join(folder, 'infra/langgraph.d.ts'), join(directory, 'langgraph.d.ts')),
  )

if (import.meta.main) {
  const directory = join(ROOT, 'dist/langgraph')
  await buildLanggraphPackage(directory)
  console.log(`${directory}: npm pack it, and install it where the graph runs`)
}
