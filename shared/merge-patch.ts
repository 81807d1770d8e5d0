/**
 * A JSON object taken apart: JSON Pointer → JSON of what is there, `{}` for an object whose members follow. So a script merges without
 * decoding values, which Lua would not give back as they were.
 *
 * @example toLeaves({ a: 1, b: { c: [] } }) // { '/a': '1', '/b': '{}', '/b/c': '[]' }
 */
export type Leaves = Record<string, string>

type JsonObject = Readonly<Record<string, unknown>>

export function toLeaves(object: JsonObject): Leaves {
  return Object.fromEntries(walk(object, '').map(([path, value]) => [path, value ?? 'null']))
}

export function fromLeaves(leaves: Leaves): JsonObject {
  // Without a prototype, `__proto__` is a name like any other.
  const root: Record<string, unknown> = Object.create(null)
  const objects = new Map([['', root]])
  for (const path of Object.keys(leaves).sort()) {
    const end = path.lastIndexOf('/')
    const name = path
      .slice(end + 1)
      .replaceAll('~1', '/')
      .replaceAll('~0', '~')
    const text = leaves[path]!
    const value = text === EMPTY ? Object.create(null) : JSON.parse(text)
    if (text === EMPTY) objects.set(path, value)
    objects.get(path.slice(0, end))![name] = value
  }
  return root
}

/** One step of a merge, outer ones first: what is to be at a path (`{}`: an object, as it is where it is one), or '' for nothing. */
export type Change = readonly [path: string, text: string]

/** A JSON merge patch (RFC 7396) as steps; `shared/scripts` take them as JSON. */
export const toChanges = (patch: JsonObject): Change[] =>
  walk(patch, '').map(([path, value]) => [path, value ?? ''])

/** What the scripts do with them. */
export function applied(leaves: Leaves, changes: readonly Change[]): Leaves {
  const after = { ...leaves }
  for (const [path, text] of changes) {
    if (text === EMPTY && after[path] === EMPTY) continue
    if (after[path] === EMPTY)
      for (const inner of Object.keys(after)) if (inner.startsWith(`${path}/`)) delete after[inner]
    if (text === '') delete after[path]
    else after[path] = text
  }
  return after
}

/** How large scripts take it to be. */
export const bytesOf = (leaves: Leaves): number =>
  Object.entries(leaves).reduce((sum, [path, text]) => sum + Buffer.byteLength(path + text), 0)

const EMPTY = '{}'

/** Every member at any depth, null where it is null. */
function walk(object: JsonObject, at: string): [path: string, text: string | null][] {
  return Object.entries(object).flatMap(([name, value]): [string, string | null][] => {
    const path = `${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    if (value === null) return [[path, null]]
    if (typeof value !== 'object' || Array.isArray(value)) return [[path, JSON.stringify(value)]]
    return [[path, EMPTY], ...walk(value as JsonObject, path)]
  })
}
