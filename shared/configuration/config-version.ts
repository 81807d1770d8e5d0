import type { Reply } from '../ports/redis.ts'

/** A version of a configuration: it never changes, and its number is never given again. */
export interface ConfigVersion {
  namespace: string
  version: number
  values: Readonly<Record<string, unknown>>
  /** RFC 3339 */
  at: string
  /** Id of the key that wrote it, or `admin`. */
  by: string
  note?: string
  /** The version whose values it has again. */
  restores?: number
}

/** What is told of a version without its values. */
export type ConfigChange = Omit<ConfigVersion, 'namespace' | 'values'> & { deleted?: true }

/** An entry of the stream behind a configuration. */
export interface ConfigEntry extends ConfigChange {
  /** Stream id */
  id: string
  /** JSON; `''`: it was deleted. */
  values: string
}

/** Reads an entry: `[id, [field, value, …]]`. */
export function readEntry(reply: Reply): ConfigEntry {
  const [id, flat] = reply as [string, string[]]
  const fields: Record<string, string> = {}
  for (let i = 0; i < flat.length; i += 2) fields[flat[i]!] = flat[i + 1]!
  return toEntry(id, fields)
}

export function toEntry(id: string, { version, about, values = '' }: Record<string, string>): ConfigEntry {
  return { ...toChange(Number(version), `${id} ${about}`), id, values }
}

/** What the hash says of a version: `<id of its entry> <JSON>`. */
export function toChange(version: number, text: string): ConfigChange {
  const at = new Date(Number.parseInt(text, 10)).toISOString()
  return { version, at, ...JSON.parse(text.slice(text.indexOf(' ') + 1)) }
}

export const toVersion = (namespace: string, { id, values, ...change }: ConfigEntry): ConfigVersion => ({
  namespace,
  ...change,
  values: JSON.parse(values),
})

/** What readers get of it. */
export function textOf(namespace: string, { id, values, ...change }: ConfigEntry): string {
  const text = JSON.stringify({ namespace, ...change })
  return values === '' ? text : `${text.slice(0, -1)},"values":${values}}`
}
