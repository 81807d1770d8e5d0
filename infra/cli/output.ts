import { styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

/** Coloured on a terminal only, unless NO_COLOR or FORCE_COLOR say otherwise. */
export const styled = (style: Style, text: string, stream: NodeJS.WriteStream = process.stdout) =>
  styleText(style, text, { stream })

export const dim = (text: string, stream?: NodeJS.WriteStream) => styled('dim', text, stream)

/** Columns as wide as their widest cell; the first row is the head. */
export function printTable(rows: readonly (readonly string[])[]) {
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)))
  for (const [n, row] of rows.entries()) {
    const line = row
      .map((cell, at) => cell.padEnd(widths[at]!))
      .join('  ')
      .trimEnd()
    console.log(n === 0 ? styled('bold', line) : line)
  }
}

export const printJson = (value: unknown) => console.log(JSON.stringify(value))

/** Terminals obey control characters, and what is shown may come from anybody. */
export const shown = (text: string) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd')

export function oneLine(text: string, most = 160): string {
  const line = shown(text.replace(/\s+/g, ' ').trim())
  return line.length > most ? `${line.slice(0, most - 1)}…` : line
}
