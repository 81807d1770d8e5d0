import { Hono } from 'hono'
import { dashboard } from './dashboard.ts'
import type { App, Deps } from './deps.ts'
import { mcp } from './mcp.ts'
import { metrics } from './metrics.ts'
import { overview } from './overview.ts'
import { reference } from './reference.ts'

/** What people look at: the dashboard, the reference, metrics; and MCP. */
export const face = (deps: Deps) =>
  new Hono<App>()
    //
    .route('/', dashboard(deps))
    .route('/', mcp(deps))
    .route('/', metrics(deps))
    .route('/', overview(deps))
    .route('/', reference(deps))
