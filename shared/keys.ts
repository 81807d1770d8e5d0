/**
 * Every Redis key of the hub. The default tenant has the bare key, others `t:<tenant>:` before it. A key that a script
 * uses together with base key K is `{K}:suffix`, so both share K's Cluster slot. TTLs stand beside their key.
 */

export const DEFAULT_TENANT = 'default'

/** What tenants, indexes, streams and other names look like. */
export const NAME = /^[A-Za-z0-9_.-]{1,64}$/

/** One hash a tenant: key id → key record. */
export const hubKeysKey = (tenant: string) => `${prefix(tenant)}keys`

/** Set of the tenants that have hub keys. */
export const TENANTS_KEY = 'tenants'

/** Hash: counters of the tenant's completion cache. */
export const cacheStatsKey = (tenant: string) => `${prefix(tenant)}llm:stats`

export interface CompletionKeys {
  /** String: the stored answer. */
  entry: string
  /** Hash: the lease of the running call, and who waits for it. */
  run: string
  /** Stream: pieces of the running answer. */
  chunks: string
  /** Pub/sub channel: new pieces are there. */
  wakeUp: string
}

export function completionKeys(tenant: string, hash: string): CompletionKeys {
  const entry = `${prefix(tenant)}llm:cache:${hash}`
  return { entry, run: `{${entry}}:run`, chunks: `{${entry}}:chunks`, wakeUp: `{${entry}}:wake` }
}

/** Glob of all the tenant's stored answers, for SCAN. */
export const completionEntries = (tenant: string) => `${escapeGlob(prefix(tenant))}llm:cache:*`

export const COMPLETION_TTL_SECONDS = 3600

/** A lease that is not renewed for this long is free: its holder is taken for dead. */
export const RUN_LEASE_MS = 5_000

/** How long the end of a run stays readable for those who follow it. */
export const RUN_ENDED_MS = 30_000

function prefix(tenant: string): string {
  return tenant === DEFAULT_TENANT ? '' : `t:${tenant}:`
}

const escapeGlob = (text: string) => text.replace(/[\\*?[\]]/g, '\\$&')
