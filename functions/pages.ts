import type { Context } from 'hono'
import { HubError } from '../shared/errors.ts'
import type { Assets } from '../shared/ports/assets.ts'
import type { App } from './deps.ts'

/** What a page may do unless it says otherwise: load from and talk to this hub, and nothing inline. */
export const STRICT_POLICY = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': "'self'",
  'connect-src': "'self'",
  'img-src': "'self' data:",
  'base-uri': "'none'",
  'form-action': "'none'",
  'frame-ancestors': "'none'",
}

/**
 * A page of the face, such as `index.html`; always asked for anew, since it names the files that belong to it. 404 where none was
 * built.
 */
export async function page(
  c: Context<App>,
  assets: Assets | undefined,
  path: string,
  policy = STRICT_POLICY,
) {
  const found = await assets?.(path, c.req.header('accept-encoding'))
  if (!found) throw notBuilt()
  return asset(c, found, {
    'Cache-Control': 'no-cache',
    'Content-Security-Policy': Object.entries(policy)
      .map(([name, sources]) => `${name} ${sources}`)
      .join('; '),
    'X-Frame-Options': 'DENY',
  })
}

/** A file that pages name. One with a hash in its name is kept for good. 404 where there is none. */
export async function file(c: Context<App>, assets: Assets | undefined, path: string) {
  const found = path.endsWith('.html') ? undefined : await assets?.(path, c.req.header('accept-encoding'))
  if (!found) {
    const message = 'There is no such file. Pages name those that there are.'
    throw new HubError({ code: 'not_found', status: 404, message })
  }
  const isHashed = /-[0-9A-Z]{8}\.\w+$/.test(path)
  return asset(c, found, {
    'Cache-Control': isHashed ? 'public, max-age=31536000, immutable' : 'no-cache',
    // An image that is opened by itself is a page too.
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  })
}

function asset(c: Context<App>, found: Response, more: Record<string, string>) {
  const etag = found.headers.get('etag')
  const same = ['ETag', 'Vary', 'Content-Encoding'].flatMap((name) => {
    const value = found.headers.get(name)
    return value === null ? [] : [[name, value]]
  })
  const headers = {
    'Content-Type': found.headers.get('content-type') ?? 'application/octet-stream',
    ...Object.fromEntries(same),
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'same-origin',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    ...more,
  }
  const known = c.req.header('if-none-match')?.split(/\s*,\s*/)
  if (etag && known?.includes(etag)) return c.body(null, 304, headers)
  return c.body(found.body as ReadableStream, 200, headers)
}

const notBuilt = () =>
  new HubError({
    code: 'face_not_built',
    status: 404,
    message: 'The pages of this hub are not built. Run `npm run build:face` and start the hub again.',
  })
