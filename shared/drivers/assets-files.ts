import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import type { Assets } from '../ports/assets.ts'

const TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

/** Files of one folder. Pages are read each time, as they name files of the last build; the others once. */
export function createAssetsFiles(directory: string): Assets {
  const read = new Map<string, { bytes: Buffer<ArrayBuffer>; headers: Record<string, string> }>()
  return async (path) => {
    const type = TYPES[extname(path)]
    if (!type || normalize(path) !== path || /^(\.\.)?[\\/]/.test(path) || path.includes('\0'))
      return undefined
    let file = read.get(path)
    if (!file) {
      const bytes = await readFile(join(directory, path)).catch(() => undefined)
      if (!bytes) return undefined
      const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`
      file = { bytes, headers: { 'Content-Type': type, ETag: etag } }
      if (extname(path) !== '.html') read.set(path, file)
    }
    return new Response(file.bytes, { headers: file.headers })
  }
}
