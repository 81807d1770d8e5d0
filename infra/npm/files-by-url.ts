import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Plugin } from 'esbuild'

/** `new URL('./guard.sh', import.meta.url)` */
const BY_URL = /new URL\(\s*'([^']+)',\s*import\.meta\.url,?\s*\)/g

/**
 * For bundles: files that a module names by their URL beside it lie in the bundle's folder. TypeScript must be an entry of the build; what
 * is not there is left as it is.
 */
export const filesByUrl = (outdir: string): Plugin => ({
  name: 'files-by-url',
  setup({ onLoad }) {
    onLoad({ filter: /(\.ts|[\\/]dictionary-en[\\/]index\.js)$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8')
      const named = new Map<string, string>()
      for (const [, name = ''] of text.matchAll(BY_URL)) {
        const file = join(dirname(path), name)
        if (!existsSync(file) || name.endsWith('/') || name === '..') continue
        named.set(name, basename(file).replace(/\.ts$/, '.js'))
        if (file.endsWith('.ts')) continue
        await mkdir(outdir, { recursive: true })
        await copyFile(file, join(outdir, basename(file)))
      }
      const contents = text.replace(BY_URL, (whole, name) =>
        named.has(name) ? `new URL('./${named.get(name)}', import.meta.url)` : whole,
      )
      return { contents, loader: path.endsWith('.ts') ? 'ts' : 'js' }
    })
  },
})
