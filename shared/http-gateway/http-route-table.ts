import { TrieRouter } from 'hono/router/trie-router'

/** An administrator's rule: what matches goes to `upstream`. */
export interface HttpRoute {
  /** Upper case; every method without it. `GET` covers `HEAD`. */
  method?: string
  /** Exact, lower case, without a port. */
  host?: string
  /** A prefix of whole segments (`/api/`), or a pattern (`/users/:id`, `/files/*`). */
  path: string
  /** Origin and base path, or `service://<name>/<base path>`. */
  upstream: string
  /** `true`: the literal beginning of `path`. */
  strip_prefix?: boolean | string
  /** Sent to the upstream, over what the client sent. */
  headers?: Record<string, string>
  /** Requests of one key. */
  limit?: {
    limit: number
    window_seconds: number
    algorithm?: 'sliding_window' | 'fixed_window' | 'token_bucket'
  }
  cache?: boolean | { max_bytes?: number }
  allow_private?: boolean
}

export interface NamedHttpRoute extends HttpRoute {
  id: string
}

export interface RouteTable {
  match(method: string, host: string, path: string): NamedHttpRoute | undefined
  /** Whether any route caches. */
  caches: boolean
}

/**
 * The most specific route wins: one with a host before one without; then by path, segment for segment from the left, a
 * literal before a `:name` before the rest, the longer before the shorter; then one with a method before one without; then by id.
 */
export function createRouteTable(routes: readonly NamedHttpRoute[]): RouteTable {
  const router = new TrieRouter<NamedHttpRoute>()
  const ranked = routes.map((route) => ({ route, rank: rankOf(route) }))
  ranked.sort((a, b) => (a.rank === b.rank ? (a.route.id < b.route.id ? -1 : 1) : a.rank < b.rank ? 1 : -1))
  // The router replies in the order in which they were added.
  for (const { route } of ranked) {
    const methods = route.method === 'GET' ? ['GET', 'HEAD'] : [route.method ?? 'ALL']
    for (const method of methods) router.add(method, toPattern(route.path), route)
  }
  return {
    match(method, host, path) {
      const [found] = router.match(method, path)
      return found.map(([route]) => route).find((route) => !route.host || route.host === host)
    },
    caches: routes.some(({ cache }) => cache),
  }
}

const isPattern = (path: string) => /\/[:*]/.test(path)

const toPattern = (path: string) => (isPattern(path) ? path : `${path.replace(/\/$/, '')}/*`)

function rankOf({ host, path, method }: HttpRoute): string {
  const segments = toPattern(path).slice(1).split('/')
  const kinds = segments.map((segment) => (segment === '*' ? 1 : segment.startsWith(':') ? 2 : 3))
  return `${host ? 1 : 0}/${kinds.join('')}/${method ? 1 : 0}`
}
