/** The name that was probably meant: one or two letters away; undefined where none is near. */
export function nearest(given: string, names: readonly string[]): string | undefined {
  const near = names
    .map((name) => ({ name, steps: name.startsWith(given) ? 1 : distance(given, name) }))
    .filter(({ name, steps }) => steps <= Math.min(2, Math.ceil(name.length / 3)))
  return near.sort((a, b) => a.steps - b.steps)[0]?.name
}

/** Letters to add, to drop or to change. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...b].entries()) {
      next.push(Math.min(row[j + 1]! + 1, next[j]! + 1, row[j]! + (letter === other ? 0 : 1)))
    }
    row = next
  }
  return row.at(-1)!
}
