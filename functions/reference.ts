import { Hono } from 'hono'
import type { App, Deps } from './deps.ts'
import { page, STRICT_POLICY } from './pages.ts'

/**
 * Scalar puts its styles into the page itself, as elements and as attributes. Scripts are files of this hub only, so that nothing can
 * be done with styles alone: pictures, fonts and requests go nowhere else.
 */
const POLICY = { ...STRICT_POLICY, 'style-src': "'self' 'unsafe-inline'" }

/** `/docs`: every route, to read and to try. It holds no data; what is tried needs a key. */
export const reference = ({ assets }: Pick<Deps, 'assets'>) =>
  new Hono<App>().get('/docs', (c) => page(c, assets, 'docs.html', POLICY))
