import type { SourceAnswer } from './fetch-source.ts'
import type { Cursor, PullContext } from './pulled.ts'

/** What a source said of its answer, to ask whether it still holds (RFC 9110, 13). */
export interface Validators {
  [name: string]: string | undefined
  url: string
  etag?: string
  last_modified?: string
}

export function validatorsOf(url: URL, { headers }: SourceAnswer): Validators {
  return {
    url: url.href,
    etag: headers.get('etag') ?? undefined,
    last_modified: headers.get('last-modified') ?? undefined,
  }
}

/** Asks again for what the cursor knows; a 304 has no bytes. */
export function getIfChanged(
  url: URL,
  cursor: Cursor,
  { get }: PullContext,
  accept: string,
): Promise<SourceAnswer> {
  const known = cursor.validators as Validators | undefined
  const headers = new Headers({ accept })
  if (known?.url === url.href) {
    if (known.etag) headers.set('if-none-match', known.etag)
    if (known.last_modified) headers.set('if-modified-since', known.last_modified)
  }
  return get(url, headers)
}
