import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'
import { NONE } from './format.ts'

interface TableProps {
  caption: string
  columns: string[]
  /** Columns of numbers are aligned at their end. */
  rows: ComponentChildren[][]
  empty: ComponentChildren
  more?: boolean
}

/** A table that scrolls by itself where it is too wide. */
export function Table({ caption, columns, rows, empty, more }: TableProps) {
  if (rows.length === 0) return typeof empty === 'string' ? <p class="quiet">{empty}</p> : <div>{empty}</div>
  const kinds = columns.map((_, j) => (j > 0 && isNumbers(rows.map((cells) => cells[j])) ? 'number' : ''))
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
    <section class="scrolls" aria-label={caption} tabIndex={0}>
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((name, j) => (
              <th key={name} scope="col" class={kinds[j]}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((cells, i) => (
            <tr key={i}>
              {cells.map((cell, j) =>
                j === 0 ? (
                  <th key={columns[j]} scope="row">
                    {cell}
                  </th>
                ) : (
                  <td key={columns[j]} class={kinds[j]}>
                    {cell}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
      {more && <p class="quiet">There are more than are shown here.</p>}
    </section>
  )
}

const isNumbers = (cells: ComponentChildren[]) => cells.every(isNumber) && cells.some((cell) => cell !== NONE)

const isNumber = (cell: ComponentChildren) =>
  typeof cell === 'string' && (/^[$−-]?[\d.,]+[%kKMBT]?( (ms|s|min|h|d))?$/.test(cell) || cell === NONE)

/** What to do where nothing is yet. */
export const Empty = ({ children, curl }: { children: ComponentChildren; curl?: string }) => (
  <div class="empty">
    <p>{children}</p>
    {curl && <Code>{curl}</Code>}
  </div>
)

export const Panel = ({
  title,
  children,
  note,
}: {
  title: string
  children: ComponentChildren
  note?: ComponentChildren
}) => {
  const id = useId()
  return (
    <section class="panel" aria-labelledby={id}>
      <header>
        <h3 id={id}>{title}</h3>
        {note && <span class="note">{note}</span>}
      </header>
      {children}
    </section>
  )
}

/** A state by colour and by word. */
export const Badge = ({
  tone,
  children,
}: {
  tone: 'good' | 'bad' | 'warn' | 'plain'
  children: ComponentChildren
}) => <span class={`badge ${tone}`}>{children}</span>

export const Meter = ({ part, label }: { part: number; label: string }) => (
  <meter
    class="meter"
    min={0}
    max={1}
    low={0.75}
    high={0.9}
    optimum={0}
    value={Math.min(1, part)}
    aria-label={label}
  />
)

/** A part of the snapshot: shown, or why it is not. */
export function Part<T>({
  part,
  name,
  children,
}: {
  part: T | null | undefined
  name: string
  children: (part: T) => ComponentChildren
}) {
  if (part === undefined) return <p class="quiet">{name} are not part of this deployment (FUNCTIONS).</p>
  if (part === null) return <p class="problem">{name} could not be read just now.</p>
  return <>{children(part)}</>
}

export const Problem = ({ children }: { children: ComponentChildren }) => (
  <p class="problem" role="alert">
    {children}
  </p>
)

/** Where this page is from, for lines to copy. */
export const here = () => location.origin

/** Text as it is, which scrolls by itself. */
export const Code = ({ children }: { children: ComponentChildren }) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
  <pre tabIndex={0}>{children}</pre>
)
