/** Texts for numbers and times, in the reader's own language. */
const whole = new Intl.NumberFormat()
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 })
const percent = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 1 })
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
const ago = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'narrow' })

/** Where there is nothing to show. */
export const NONE = '–'

export const count = (n: number | null | undefined) =>
  n == null ? NONE : Math.abs(n) >= 100_000 ? short.format(n) : whole.format(n)

export const share = (part: number | null | undefined) => (part == null ? NONE : percent.format(part))

/** USD; small sums with as many digits as they need. */
export function usd(n: number | null | undefined): string {
  if (n == null) return NONE
  const digits = n !== 0 && Math.abs(n) < 1 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 2 }
  return new Intl.NumberFormat(undefined, {
    style: 'currency',
    currency: 'USD',
    currencyDisplay: 'narrowSymbol',
    ...digits,
  }).format(n)
}

export function ms(n: number | null | undefined): string {
  if (n == null) return NONE
  if (n < 10) return `${n.toFixed(1)} ms`
  return n < 1_000 ? `${Math.round(n)} ms` : `${(n / 1_000).toFixed(n < 10_000 ? 2 : 1)} s`
}

export function seconds(n: number | null | undefined): string {
  if (n == null) return NONE
  if (n < 120) return `${Math.round(n)} s`
  if (n < 7_200) return `${Math.round(n / 60)} min`
  return n < 172_800 ? `${Math.round(n / 3_600)} h` : `${Math.round(n / 86_400)} d`
}

export const time = (at: string | null | undefined) => (at ? clock.format(new Date(at)) : NONE)

export const dayAndTime = (at: string | null | undefined) => (at ? day.format(new Date(at)) : NONE)

export function since(at: string | null | undefined): string {
  if (!at) return NONE
  const past = Math.max(0, (Date.now() - Date.parse(at)) / 1_000)
  if (past < 60) return ago.format(-Math.round(past), 'second')
  if (past < 3_600) return ago.format(-Math.round(past / 60), 'minute')
  return past < 86_400
    ? ago.format(-Math.round(past / 3_600), 'hour')
    : ago.format(-Math.round(past / 86_400), 'day')
}
