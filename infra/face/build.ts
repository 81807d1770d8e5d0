/**
 * `npm run build:face`, which `npm ci` runs too: the pages of the face in dist/face. What a page names with `./` is built by
 * esbuild (TypeScript, CSS) or copied, and gets a hash into its name, so that browsers may keep it for good.
 */
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import { scalarScript } from './scalar.ts'

/** Pages to build, in this folder. */
const PAGES = ['index.html', 'docs.html']

const HERE = import.meta.dirname
const TARGET = join(HERE, '../../dist/face')

export async function buildFace(directory: string): Promise<void> {
  const work = `${directory}.${process.pid}`
  await rm(work, { recursive: true, force: true })
  await mkdir(work, { recursive: true })
  try {
    for (const page of PAGES) await buildPage(page, work)
    // By a rename: whoever reads meanwhile finds the whole of one or of the other.
    await rm(directory, { recursive: true, force: true })
    await rename(work, directory)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function buildPage(page: string, directory: string): Promise<void> {
  const html = await readFile(join(HERE, page), 'utf8')
  const named = new Map<string, string>()
  for (const [, file] of html.matchAll(/(?:src|href)="(\.{1,2}\/[^"]+)"/g)) {
    named.set(file!, await place(join(HERE, file!), directory))
  }
  const text = html.replace(
    /(src|href)="(\.{1,2}\/[^"]+)"/g,
    (_, name, file) => `${name}="face/${named.get(file)}"`,
  )
  await writeFile(join(directory, page), text)
}

/** The name that it has in `directory` afterwards. */
async function place(file: string, directory: string): Promise<string> {
  if (/\.(tsx?|css)$/.test(file)) return bundle(file, directory)
  const content = basename(file) === 'scalar.js' ? await scalarScript() : await readFile(file)
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 8).toUpperCase()
  const end = extname(file)
  const name = `${basename(file, end)}-${hash}${end}`
  await writeFile(join(directory, name), content)
  return name
}

async function bundle(file: string, directory: string): Promise<string> {
  const { build } = await import('esbuild')
  const { metafile } = await build({
    ...{ entryPoints: [file], outdir: directory, entryNames: '[name]-[hash]', metafile: true },
    ...{ bundle: true, minify: true, format: 'esm', target: ['chrome123', 'firefox121', 'safari17.5'] },
    ...{ jsx: 'automatic', jsxImportSource: 'preact', legalComments: 'none', logLevel: 'error' },
  })
  return basename(Object.keys(metafile.outputs)[0]!)
}

if (import.meta.main) {
  try {
    await buildFace(TARGET)
    console.log('dist/face: the pages of the hub are built')
  } catch (error) {
    // Installed without development packages, such as in an image: the pages are built elsewhere, or `/` says what is missing.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    console.log('dist/face: not built, esbuild is not installed')
  }
}
