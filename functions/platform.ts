import { Hono } from 'hono'
import { audit } from './audit.ts'
import { breakers } from './breakers.ts'
import { config } from './config.ts'
import type { App, Deps } from './deps.ts'
import { locks } from './locks.ts'
import { services } from './services.ts'
import { tenants } from './tenants.ts'

/** What services need of each other. */
export const platform = (
  deps: Pick<Deps, 'admission' | 'breakers' | 'locks' | 'services' | 'configuration' | 'watchConfig'> &
    Parameters<typeof tenants>[0] &
    Parameters<typeof audit>[0],
) =>
  new Hono<App>()
    .route('/', breakers(deps))
    .route('/', locks(deps))
    .route('/', services(deps))
    .route('/', config(deps))
    .route('/', tenants(deps))
    .route('/', audit(deps))
