import { Hono } from 'hono'
import type { App, Deps } from './deps.ts'

/** What people look at: the dashboard, the reference, metrics; and MCP. */
export const face = (_deps: Deps) => new Hono<App>()
