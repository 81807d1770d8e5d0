import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Assets } from '../ports/assets.ts'

const TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

/** Smaller ones fit into a packet as they are. */
const WORTH_BYTES = 1_024
const compress = promisify(gzip)

interface File {
  bytes: Buffer<ArrayBuffer>
  headers: Record<string, string>
}

/** Files of one folder. Pages are read each time, as they name files of the last build; the others are read, and compressed, once. */
export function createAssetsFiles(directory: string): Assets {
  const kept = new Map<string, Promise<File | undefined>>()

  async function read(path: string, isCompressed: boolean): Promise<File | undefined> {
    const bytes = await readFile(join(directory, path)).catch(() => undefined)
    if (!bytes) return undefined
    const hash = createHash('sha256').update(bytes).digest('base64url').slice(0, 22)
    const common = { 'Content-Type': TYPES[extname(path)]!, Vary: 'Accept-Encoding' }
    if (!isCompressed || bytes.length < WORTH_BYTES)
      return { bytes, headers: { ...common, ETag: `"${hash}"` } }
    const headers = { ...common, ETag: `"${hash}-gzip"`, 'Content-Encoding': 'gzip' }
    return { bytes: await compress(bytes), headers }
  }

  return async (path, accepted = '') => {
    const type = TYPES[extname(path)]
    if (!type || normalize(path) !== path || /^(\.\.)?[\\/]/.test(path) || path.includes('\0'))
      return undefined
    const isCompressed = takesGzip(accepted)
    const name = `${isCompressed ? 'gzip' : 'plain'} ${path}`
    const reading = kept.get(name) ?? read(path, isCompressed)
    if (extname(path) !== '.html') kept.set(name, reading)
    const file = await reading
    if (!file) kept.delete(name) // it may be built yet
    return file && new Response(file.bytes, { headers: file.headers })
  }
}

/** Of `Accept-Encoding` (RFC 9110, section 12.5.3). */
const takesGzip = (accepted: string) =>
  accepted.split(',').some((one) => /^\s*(gzip|\*)\s*(;\s*q=(?!0(\.0*)?\s*$)|$)/i.test(one))
