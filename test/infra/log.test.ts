import { expect, test, vi } from 'vitest'
import { log } from '../../infra/log.ts'
import { RedisUnavailableError } from '../../shared/errors.ts'

test('what every request says while Redis is away is written once in a while, and how often it came', () => {
  vi.useFakeTimers()
  const written: Record<string, unknown>[] = []
  const error = vi.spyOn(console, 'error').mockImplementation((line) => void written.push(JSON.parse(line)))
  try {
    const away = (cause: string) => log.error({ msg: 'Refused', cause: new RedisUnavailableError(cause) })
    for (let i = 0; i < 500; i++) away('one server')
    away('another one')
    expect(written.map(({ cause }) => cause)).toEqual([
      'RedisUnavailableError: one server',
      'RedisUnavailableError: another one',
    ])
    vi.advanceTimersByTime(11_000)
    away('one server')
    expect(written.at(-1)).toMatchObject({ level: 'error', msg: 'Refused', repeated: 499 })

    // Nothing else is held back.
    for (let i = 0; i < 3; i++) log.error({ msg: 'Failed', cause: new Error('of a request') })
    expect(written.filter(({ msg }) => msg === 'Failed')).toHaveLength(3)
  } finally {
    error.mockRestore()
    vi.useRealTimers()
  }
})
