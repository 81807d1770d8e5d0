/** What a check found: one line, and the way out where something is wrong. */
export interface Finding {
  /** What was looked at: `Redis memory`. */
  check: string
  /** `fault`: it does not work, or loses what it holds. `warning`: it works, and will hurt. */
  level: 'ok' | 'warning' | 'fault'
  message: string
  /** What to do, as a sentence. */
  cure?: string
}

export const ok = (check: string, message: string): Finding => ({ check, level: 'ok', message })

export const warning = (check: string, message: string, cure: string): Finding => ({
  ...{ check, level: 'warning', message, cure },
})

export const fault = (check: string, message: string, cure: string): Finding => ({
  ...{ check, level: 'fault', message, cure },
})
