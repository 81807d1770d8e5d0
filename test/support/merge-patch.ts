type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** RFC 7396, section 2, line by line. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const merged: Json = isObject(target) ? { ...target } : {}
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name]
    else merged[name] = mergePatch(merged[name], value)
  }
  return merged
}

/** Few names, so that patches meet what is there; nulls too. */
export function randomObject(random: () => number, levels = 3): Json {
  const pick = <T>(...items: T[]) => items[Math.floor(random() * items.length)]!
  const value = (): unknown => {
    const kind = random()
    if (kind < 0.35 && levels > 0) return randomObject(random, levels - 1)
    return pick<unknown>(null, 1, 'x', true, [], [null, {}], '{}', -1.5)
  }
  return Object.fromEntries(
    Array.from({ length: Math.floor(random() * 4) }, () => [pick('a', 'b', 'a/b', 'c~'), value()]),
  )
}
