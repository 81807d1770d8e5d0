import { describe, expect, it } from 'vitest'
import { checkRule, nextDue, retryDue } from '../../../shared/schedules/next-due.ts'

const at = (time: string) => Date.parse(time)

/** The next `count` times after `from`. */
function times(rule: Parameters<typeof nextDue>[0], from: string, count: number): string[] {
  let now = at(from)
  return Array.from({ length: count }, () => {
    now = nextDue(rule, now)!
    return new Date(now).toISOString().replace(':00.000Z', 'Z')
  })
}

describe('when a schedule is due next', () => {
  it('by cron, in UTC', () => {
    expect(times({ cron: '*/20 6 * * MON-FRI' }, '2026-11-20T06:10:00Z', 3)).toEqual([
      '2026-11-20T06:20Z',
      '2026-11-20T06:40Z',
      '2026-11-23T06:00Z',
    ])
  })

  it('at the end of months, and on a day that most years lack', () => {
    expect(times({ cron: '0 0 31 * *' }, '2026-01-31T00:00:00Z', 2)).toEqual([
      '2026-03-31T00:00Z',
      '2026-05-31T00:00Z',
    ])
    expect(times({ cron: '0 0 L * *' }, '2026-01-31T00:00:00Z', 2)).toEqual([
      '2026-02-28T00:00Z',
      '2026-03-31T00:00Z',
    ])
    expect(times({ cron: '0 0 29 2 *' }, '2026-01-31T00:00:00Z', 2)).toEqual([
      '2028-02-29T00:00Z',
      '2032-02-29T00:00Z',
    ])
  })

  it('summer time leaves 02:30 out: that day it is due at the end of the missing hour', () => {
    const rule = { cron: '30 2 * * *', time_zone: 'Europe/Paris' }
    expect(times(rule, '2026-03-27T12:00:00Z', 3)).toEqual([
      '2026-03-28T01:30Z',
      '2026-03-29T01:00Z',
      '2026-03-30T00:30Z',
    ])
  })

  it('02:30 comes twice: it is due once', () => {
    const rule = { cron: '30 2 * * *', time_zone: 'Europe/Paris' }
    expect(times(rule, '2026-10-24T12:00:00Z', 2)).toEqual(['2026-10-25T00:30Z', '2026-10-26T01:30Z'])
  })

  it('what is due every half hour goes on through the hour that comes twice', () => {
    const rule = { cron: '*/30 * * * *', time_zone: 'Europe/Paris' }
    expect(times(rule, '2026-10-25T00:00:00Z', 4)).toEqual([
      '2026-10-25T00:30Z',
      '2026-10-25T01:00Z',
      '2026-10-25T01:30Z',
      '2026-10-25T02:00Z',
    ])
  })

  it('every so many seconds from when it was planned: a late run does not shift it, and missed ones are one', () => {
    expect(nextDue({ every_seconds: 10 }, 1_000_500, 1_000_000)).toBe(1_010_000)
    expect(nextDue({ every_seconds: 10 }, 1_010_000, 1_000_000)).toBe(1_020_000)
    expect(nextDue({ every_seconds: 10 }, 9_999_999, 1_000_000)).toBe(10_000_000)
  })

  it('it is after what was planned though the clock here is behind', () => {
    expect(nextDue({ every_seconds: 10 }, 999_000, 1_000_000)).toBe(1_010_000)
    const planned = at('2026-01-01T00:01:00Z')
    expect(nextDue({ cron: '* * * * *' }, planned - 2_000, planned)).toBe(planned + 60_000)
  })
})

describe('a rule that is none', () => {
  it.each([
    ['* * * *', 'cron'],
    ['60 * * * *', 'cron'],
    ['* * * * * *', 'cron'],
    ['hourly', 'cron'],
    ['', 'cron'],
    ['0 0 30 2 *', 'cron'],
  ])('%j', (cron, param) => {
    expect(() => checkRule({ cron }, at('2026-01-01'))).toThrow(
      expect.objectContaining({ status: 400, param }),
    )
  })

  it('both, neither, and an unknown time zone', () => {
    const of = (rule: object) => () => checkRule(rule, 0)
    expect(of({})).toThrow(expect.objectContaining({ param: 'cron' }))
    expect(of({ cron: '* * * * *', every_seconds: 1 })).toThrow(
      expect.objectContaining({ param: 'every_seconds' }),
    )
    expect(of({ cron: '* * * * *', time_zone: 'Mars/Base' })).toThrow(
      expect.objectContaining({ param: 'time_zone' }),
    )
    expect(of({ every_seconds: 1, time_zone: 'UTC' })).toThrow(
      expect.objectContaining({ param: 'time_zone' }),
    )
  })
})

describe('after a failure', () => {
  const wait = (failures: number, askedMs?: number) =>
    retryDue({ every_seconds: 86_400 }, 0, failures, askedMs)

  it('it waits longer each time, and not before the source wants it', () => {
    expect([1, 2, 3, 4, 5].map((n) => wait(n))).toEqual([30_000, 60_000, 120_000, 240_000, 480_000])
    expect(wait(1, 3_600_000)).toBe(3_600_000)
    expect(wait(1, Number.MAX_SAFE_INTEGER)).toBe(86_400_000)
  })

  it('after five tries in vain it waits for its time', () => {
    expect(wait(6)).toBe(86_400_000)
    expect(retryDue({ every_seconds: 1 }, 0, 50)).toBe(3_600_000)
  })
})
