import CachePolicy from 'http-cache-semantics'

/** A stored response: RFC 9111's rules about it, and its body. */
export interface StoredResponse {
  policy: CachePolicy
  body: Uint8Array<ArrayBuffer>
}

/** What to do with a stored response: serve it with these headers, or ask the upstream, with these validators. */
export type Verdict =
  | { use: true; headers: Headers; ttlSeconds: number }
  | { use: false; why: 'request' | 'stale'; validators: Record<string, string> }

/** Base64: Redis over HTTP carries text. */
export const encodeResponse = ({ policy, body }: StoredResponse) =>
  JSON.stringify({ policy: policy.toObject(), body: Buffer.from(body).toString('base64') })

export function decodeResponse({ policy, body }: { policy: object; body: string }): StoredResponse {
  const fields = policy as CachePolicy.CachePolicyObject
  return { policy: CachePolicy.fromObject(fields), body: new Uint8Array(Buffer.from(body, 'base64')) }
}

/** What the rules look at. `Vary` is the keys' business, so a stored entry holds no cookie and no credential. */
export function toPolicyRequest(headers: Headers, authorized: boolean): CachePolicy.Request {
  const given = pick(headers, ['cache-control', 'pragma'])
  return { method: 'GET', headers: authorized ? { ...given, authorization: 'given' } : given }
}

/** The rules of a shared cache, without heuristics: what names no lifetime has none. */
export function toPolicy(request: CachePolicy.Request, status: number, headers: Headers): CachePolicy {
  return new CachePolicy(request, { status, headers: toPlain(headers) }, { shared: true, cacheHeuristic: 0 })
}

export function judge({ policy }: StoredResponse, request: CachePolicy.Request): Verdict {
  const fields = policy.toObject()
  const fresh = !policy.stale()
  if (fresh) {
    // The library validates each time what RFC 9111 5.2.2.2 wants validated once it is stale.
    const { 'must-revalidate': _, ...rescc } = fields.rescc
    const verdict = CachePolicy.fromObject({ ...fields, rescc }).evaluateRequest(request)
    if (verdict.response && !verdict.revalidation) return { use: true, ...served(policy) }
  } else if (policy.satisfiesWithoutRevalidation(request)) return { use: true, ...served(policy) } // max-stale
  const { etag, 'last-modified': modified } = fields.resh as Record<string, string>
  const validators: Record<string, string> = {}
  if (etag) validators['if-none-match'] = etag
  if (modified) validators['if-modified-since'] = modified
  return { use: false, why: fresh ? 'request' : 'stale', validators }
}

export function served(policy: CachePolicy): { headers: Headers; ttlSeconds: number } {
  const headers = new Headers(policy.responseHeaders() as Record<string, string>)
  return { headers, ttlSeconds: Math.round(policy.maxAge() - policy.age()) }
}

/** The stored response after a 304; undefined when that was said of another one. */
export function revalidated(
  { policy, body }: StoredResponse,
  request: CachePolicy.Request,
  headers: Headers,
): StoredResponse | undefined {
  const { etag, 'last-modified': modified } = policy.toObject().resh
  // We asked about ours alone: a 304 without validators is about it.
  const own = headers.has('etag') || headers.has('last-modified') ? {} : { etag, 'last-modified': modified }
  const said = Object.fromEntries(
    Object.entries({ ...own, ...toPlain(headers) }).filter(([, value]) => value),
  )
  const result = policy.revalidatedPolicy(request, { status: 304, headers: said })
  return result.matches ? { policy: result.policy, body } : undefined
}

/** Whether it may stand in for an upstream that failed, with this status or without any (RFC 5861 4). */
export function mayStandIn({ policy }: StoredResponse, request: CachePolicy.Request, status = 502): boolean {
  const { rescc } = policy.toObject()
  const strict = ['must-revalidate', 'proxy-revalidate', 'no-cache'].some((directive) => directive in rescc)
  if (strict || !rescc['stale-if-error'] || status < 500) return false
  return policy.revalidatedPolicy(request, { status, headers: {} }).matches
}

/** Whether the client has this representation already (RFC 9110 13.2.2). */
export function isNotModified(request: Headers, response: Headers): boolean {
  const known = request.get('if-none-match')
  const etag = response.get('etag')?.replace(/^W\//, '')
  if (known !== null) {
    const tags: readonly string[] = known.match(/"[^"]*"/g) ?? []
    return known.trim() === '*' || (etag !== undefined && tags.includes(etag))
  }
  const since = Date.parse(request.get('if-modified-since') ?? '')
  return Date.parse(response.get('last-modified') ?? '') <= since
}

/** Directives are case-insensitive, the library's are not: `No-Store` must not be stored. */
function toPlain(headers: Headers): Record<string, string> {
  const plain = Object.fromEntries(headers)
  for (const name of ['cache-control', 'pragma']) if (plain[name]) plain[name] = plain[name].toLowerCase()
  return plain
}

const pick = (headers: Headers, names: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    names.flatMap((name) => (headers.has(name) ? [[name, headers.get(name)!.toLowerCase()]] : [])),
  )
