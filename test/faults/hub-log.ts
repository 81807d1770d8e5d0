/** Lines of a hub's error log by message and cause, without what differs from line to line. */
export function logOf(parts: readonly string[]): Record<string, number> {
  const lines = parts.join('').split('\n').filter(Boolean)
  return countBy(
    lines.map((line) =>
      said(line)
        .replaceAll(/127\.0\.0\.1:\d+/g, 'host')
        .slice(0, 200),
    ),
  )
}

function said(line: string): string {
  if (!line.startsWith('{')) return line
  const { msg, cause = '' } = JSON.parse(line) as { msg: string; cause?: string }
  return `${msg} ${cause}`.trim()
}

export function countBy(names: readonly string[]): Record<string, number> {
  return Object.fromEntries([...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length]))
}
