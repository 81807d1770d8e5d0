import { Cron } from 'croner'
import { HubError } from '../errors.ts'
import type { Schedule } from './schedule.ts'

type Rule = Pick<Schedule, 'cron' | 'time_zone' | 'every_seconds'>

/**
 * When it is due next, strictly after both `planned` and `now` (Unix ms): what was missed is not caught up with. A time of day that
 * summer time leaves out is due at the hour's end; one that comes twice is due once. Undefined where it never is.
 */
export function nextDue(rule: Rule, now: number, planned = now): number | undefined {
  if (rule.cron === undefined) {
    const every = rule.every_seconds! * 1_000
    return planned + every * Math.max(1, Math.floor((now - planned) / every) + 1)
  }
  return cronOf(rule)
    .nextRun(new Date(Math.max(now, planned)))
    ?.getTime()
}

/** Throws 400 for a rule that cannot be read, or that is never due. */
export function checkRule(rule: Rule, now: number): void {
  if (rule.cron === undefined) {
    if (rule.every_seconds === undefined) throw invalid('cron', 'say `cron` or `every_seconds`.')
    if (rule.time_zone !== undefined) throw invalid('time_zone', 'is of `cron` only.')
    return
  }
  if (rule.every_seconds !== undefined) throw invalid('every_seconds', 'say `cron` or this, not both.')
  if (rule.time_zone !== undefined && !isTimeZone(rule.time_zone))
    throw invalid(
      'time_zone',
      `there is no time zone \`${rule.time_zone}\`. Say one of IANA’s, such as Europe/Paris.`,
    )
  let next: number | undefined
  try {
    next = nextDue(rule, now)
  } catch (cause) {
    throw invalid(
      'cron',
      `must be five fields, such as \`*/15 6-18 * * MON-FRI\`: ${(cause as Error).message}`,
    )
  }
  if (next === undefined) throw invalid('cron', 'is never due.')
}

/** First wait after a failure, and the longest; ms. */
const BACK_OFF = { first: 30_000, longest: 3_600_000 }
/** How often a failed run is tried again before its next regular time. */
const RETRIES = 5
const LONGEST_ASKED_MS = 86_400_000

/**
 * When to try again after the `failures`th failure in a row: after 30 s, doubled each time up to an hour, and never before the source
 * asked for. A rule that is due more often waits with it.
 */
export function retryDue(rule: Rule, now: number, failures: number, askedMs = 0): number {
  const backOff = Math.min(BACK_OFF.longest, BACK_OFF.first * 2 ** Math.min(failures - 1, 20))
  const at = now + Math.max(backOff, Math.min(askedMs, LONGEST_ASKED_MS))
  return failures <= RETRIES ? at : Math.max(at, nextDue(rule, now) ?? at)
}

const cronOf = ({ cron, time_zone = 'UTC' }: Rule) => new Cron(cron!, { mode: '5-part', timezone: time_zone })

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

const invalid = (param: string, message: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${message}`, param })
