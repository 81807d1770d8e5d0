interface Series {
  name: string
  labels: Record<string, string>
  value: number
}

export interface Family {
  type: string
  help: string
  series: Series[]
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/y
const NUMBER = /^(?:[+-]Inf|NaN|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/

/**
 * Reads Prometheus' text format 0.0.4 as `promtool check metrics` does. Throws where a line is none, a family comes twice or without HELP
 * and TYPE, a series comes twice, a counter has no `_total`, or a histogram's buckets do not add up.
 */
export function parsePrometheus(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('The last line does not end')
  const families = new Map<string, Family>()
  const seen = new Set<string>()
  let open: { name: string; family: Family } | undefined
  let help: { name: string; text: string } | undefined
  for (const line of text.split('\n')) {
    if (line === '') continue
    const [, what, about, rest] = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.*)$/.exec(line) ?? []
    if (what === 'HELP') {
      help = { name: about!, text: rest! }
    } else if (what === 'TYPE') {
      if (families.has(about!)) throw new Error(`${about} comes twice`)
      if (help?.name !== about) throw new Error(`${about} has no HELP`)
      if (rest === 'counter' && !about!.endsWith('_total')) throw new Error(`${about} is a counter`)
      const family = { type: rest!, help: help!.text, series: [] }
      open = { name: about!, family }
      families.set(about!, family)
    } else if (line.startsWith('#')) throw new Error(`This is no comment of the format: ${line}`)
    else {
      const one = toSeries(line)
      const suffix = open?.family.type === 'histogram' ? '(?:_bucket|_sum|_count)' : ''
      if (!open || !new RegExp(`^${open.name}${suffix}$`).test(one.name)) throw new Error(`Astray: ${line}`)
      const id = JSON.stringify([one.name, Object.entries(one.labels).sort()])
      if (seen.has(id)) throw new Error(`It comes twice: ${line}`)
      seen.add(id)
      open.family.series.push(one)
    }
  }
  for (const [name, family] of families) if (family.type === 'histogram') checkBuckets(name, family)
  return families
}

function toSeries(line: string): Series {
  const [, name, list = '', number] = SAMPLE.exec(line) ?? []
  if (!name || !NUMBER.test(number!)) throw new Error(`This is no sample: ${line}`)
  const labels: Record<string, string> = {}
  LABEL.lastIndex = 0
  let end = 0
  for (let found = LABEL.exec(list); found; found = LABEL.exec(list)) {
    if (Object.hasOwn(labels, found[1]!)) throw new Error(`A label comes twice: ${line}`)
    labels[found[1]!] = found[2]!
    end = LABEL.lastIndex
    if (end === list.length) break
  }
  if (end !== list.length) throw new Error(`These are no labels: ${line}`)
  return { name, labels, value: Number(number!.replace('Inf', 'Infinity')) }
}

function checkBuckets(name: string, { series }: Family) {
  const idOf = ({ labels: { le: _, ...others } }: Series) => JSON.stringify(Object.entries(others).sort())
  for (const [id, group] of Map.groupBy(series, idOf)) {
    const bucketsOf = group.filter((one) => one.name === `${name}_bucket`)
    const bounds = bucketsOf.map(({ labels }) => Number(labels.le!.replace('Inf', 'Infinity')))
    const isRising = (list: number[]) => list.every((one, i) => i === 0 || one >= list[i - 1]!)
    const count = group.find((one) => one.name === `${name}_count`)?.value
    if (!isRising(bounds) || !isRising(bucketsOf.map(({ value }) => value))) throw new Error(`${name}${id}`)
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY || bucketsOf.at(-1)!.value !== count)
      throw new Error(`${name}${id} has another count than its last bucket`)
  }
}
