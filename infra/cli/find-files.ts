import { opendir, stat } from 'node:fs/promises'
import { basename, extname, join, relative, resolve, sep } from 'node:path'
import { UsageError } from './command.ts'

export interface FoundFile {
  path: string
  /** The document's: the path below the folder that was named, with the folder's name before it where there are several. */
  id: string
  contentType: string
}

const TYPES: Record<string, string> = {
  '.md': 'text/markdown',
  '.mdx': 'text/markdown',
  '.markdown': 'text/markdown',
  '.html': 'text/html',
  '.htm': 'text/html',
  '.xhtml': 'text/html',
  '.pdf': 'application/pdf',
  ...Object.fromEntries(
    ['.txt', '.text', '.rst', '.adoc', '.asciidoc', '.org', '.tex', '.log', '.csv', '.tsv'].map((end) => [
      end,
      'text/plain',
    ]),
  ),
}

/**
 * Documents below these paths, in the order of their names; dot-folders, `node_modules` and what is no document by its name are passed
 * over. A file that is named itself is always taken.
 */
export async function findFiles(paths: readonly string[]): Promise<{ files: FoundFile[]; skipped: number }> {
  const files: FoundFile[] = []
  let skipped = 0
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined)
    if (!found) throw new UsageError(`There is no file or folder ${path}.`)
    if (!found.isDirectory()) {
      files.push({ path, id: basename(path), contentType: typeOf(path) ?? 'text/plain' })
      continue
    }
    const prefix = paths.length > 1 ? `${basename(resolve(path))}/` : ''
    for await (const file of walk(path)) {
      const contentType = typeOf(file)
      const id = prefix + relative(path, file).split(sep).join('/')
      if (contentType) files.push({ path: file, id, contentType })
      else skipped++
    }
  }
  const ids = new Map<string, string>()
  for (const { id, path } of files) {
    const other = ids.get(id)
    if (other) throw new UsageError(`${other} and ${path} would both be \`${id}\`: ingest them apart.`)
    ids.set(id, path)
  }
  files.sort((a, b) => (a.id < b.id ? -1 : 1))
  return { files, skipped }
}

const typeOf = (path: string) => TYPES[extname(path).toLowerCase()]

async function* walk(folder: string): AsyncGenerator<string> {
  for await (const entry of await opendir(folder)) {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue
    const path = join(folder, entry.name)
    // A link may lead out of the folder, or round in a circle.
    if (entry.isDirectory()) yield* walk(path)
    else if (entry.isFile()) yield path
  }
}
