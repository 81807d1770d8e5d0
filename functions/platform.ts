import { Hono } from 'hono'
import { breakers } from './breakers.ts'
import type { App, Deps } from './deps.ts'
import { locks } from './locks.ts'

/** What services need of each other. */
export const platform = (deps: Pick<Deps, 'admission' | 'breakers' | 'locks'>) =>
  new Hono<App>().route('/', breakers(deps)).route('/', locks(deps))
