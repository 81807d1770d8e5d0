import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { time } from './format.ts'
import { Table } from './parts.tsx'

export interface Line {
  label: string
  /** One of the style sheet’s colours. */
  color: 'blue' | 'green' | 'amber' | 'red' | 'violet' | 'grey'
  values: (number | null)[]
  /** Whether the space under it is tinted. */
  filled?: boolean
}

interface ChartProps {
  title: string
  /** RFC 3339, one for each value. */
  at: string[]
  lines: Line[]
  show(n: number | null): string
  theme: string
}

/** Lines over time, and the same numbers as a table. */
export function Chart({ title, at, lines, show, theme }: ChartProps) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const shape = lines.map(({ label }) => label).join()

  // Anew: `theme` is another look, and `shape` another chart
  useEffect(() => {
    const element = place.current!
    const colorOf = (name: string) => {
      element.style.color = `var(--${name})`
      const { color } = getComputedStyle(element)
      element.style.color = ''
      return color
    }
    const axis = {
      stroke: colorOf('muted'),
      font: '11px system-ui',
      grid: { stroke: colorOf('line'), width: 1 },
      ticks: { show: false },
    }
    const chart = new uPlot(
      {
        ...{ width: element.clientWidth || 300, height: 190, legend: { show: false } },
        padding: [8, 10, 0, 0],
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
        scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.12 : 1] } },
        axes: [
          {
            ...axis,
            grid: { show: false },
            space: 70,
            size: 28,
            values: (_, ticks) => ticks.map((tick) => clock(tick)),
          },
          { ...axis, size: 62, values: (_, ticks) => ticks.map(show) },
        ],
        series: [
          {},
          ...lines.map(({ label, color, filled }) => ({
            ...{ label, stroke: colorOf(color), width: 1.75 },
            points: { show: true, size: 6, fill: colorOf(color), filter: lonely },
            ...(filled && { fill: tint(colorOf(color)) }),
          })),
        ],
      },
      dataOf(at, lines),
      element,
    )
    plot.current = chart
    const resized = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: 190 }))
    resized.observe(element)
    return () => {
      resized.disconnect()
      chart.destroy()
    }
  }, [theme, shape])

  useEffect(() => plot.current?.setData(dataOf(at, lines)), [at, lines])

  const latest = lines.map(
    ({ label, values }) => `${label} ${show(values.findLast((n) => n !== null) ?? null)}`,
  )
  return (
    <figure class="panel chart">
      <figcaption>
        <h3>{title}</h3>
        <ul class="legend">
          {lines.map(({ label, color }) => (
            <li key={label}>
              <i class={`dot ${color}`} />
              {label}
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={place} class="plot" role="img" aria-label={`${title}, latest: ${latest.join(', ')}`} />
      <details>
        <summary>As a table</summary>
        <Table
          caption={title}
          columns={['Minute', ...lines.map(({ label }) => label)]}
          rows={at
            .map((minute, i) => ({ minute, values: lines.map(({ values }) => values[i] ?? null) }))
            .filter(({ values }) => values.some((n) => n !== null && n !== 0))
            .reverse()
            .map(({ minute, values }) => [time(minute), ...values.map(show)])}
          empty="Nothing was measured in this window."
        />
      </details>
    </figure>
  )
}

const dataOf = (at: string[], lines: Line[]) =>
  [at.map((text) => Date.parse(text) / 1_000), ...lines.map(({ values }) => values)] as uPlot.AlignedData

const hours = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const clock = (unixSeconds: number) => hours.format(new Date(unixSeconds * 1_000))

const tint = (color: string) =>
  color.replace(/^rgba?\(([^)]+)\)$/, (_, parts) => `rgba(${parts.split(',').slice(0, 3)}, 0.14)`)

/** A minute between two without a value has no line to be on: it is drawn as a point. */
const lonely: uPlot.Series.Points.Filter = (chart, series) => {
  const values = chart.data[series]!
  return [...values.keys()].filter((i) => values[i] != null && values[i - 1] == null && values[i + 1] == null)
}
