import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const ROOT = new URL('..', import.meta.url).pathname

/** The declarations of a module and what it imports, in a folder laid out as this project, for as long as `use` takes. */
export async function emitTypes(entry: string, use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hub-types-'))
  try {
    const emit = ['--ignoreConfig', '--declaration', '--emitDeclarationOnly']
    const places = ['--outDir', folder, '--rootDir', ROOT]
    const language = [
      '--module',
      'nodenext',
      '--target',
      'esnext',
      '--strict',
      '--allowImportingTsExtensions',
    ]
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const options = [...emit, ...places, ...language, '--types', 'node', '--skipLibCheck']
    await promisify(execFile)(process.execPath, [tsc, entry, ...options], { cwd: ROOT })
    await use(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}
