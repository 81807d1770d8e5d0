import { HubError } from '../errors.ts'
import { isSecretHeader, MASK } from '../secret-headers.ts'
import type { Secrets } from '../secrets.ts'
import type { Schedule } from './schedule.ts'

type Source = Schedule['source']

const SECRET_FIELDS = ['secret_access_key', 'session_token'] as const

/** Takes out of a source what Redis must not show, and seals it. 501 where it cannot. */
export function hideSecrets(source: Source, secrets: Secrets | undefined, context: string) {
  const shown: Record<string, unknown> = { ...source }
  const hidden: { headers?: Record<string, string>; [field: string]: unknown } = {}
  for (const field of SECRET_FIELDS) {
    if (shown[field] === undefined) continue
    hidden[field] = shown[field]
    shown[field] = MASK
  }
  const headers = 'headers' in source ? Object.entries(source.headers ?? {}) : []
  const secret = headers.filter(([name]) => isSecretHeader(name))
  if (secret.length > 0) {
    hidden.headers = Object.fromEntries(secret)
    shown.headers = Object.fromEntries(
      headers.map(([name, value]) => [name, isSecretHeader(name) ? MASK : value]),
    )
  }
  if (Object.keys(hidden).length === 0) return { source }
  if (!secrets) throw noSecretKey()
  return { source: shown as unknown as Source, sealed: secrets.seal(JSON.stringify(hidden), context) }
}

/** The source as it was given. 501 where its secrets cannot be opened. */
export function revealSecrets(
  source: Source,
  sealed: string | undefined,
  secrets: Secrets | undefined,
  context: string,
): Source {
  if (sealed === undefined) return source
  if (!secrets) throw noSecretKey()
  let hidden: Record<string, unknown>
  try {
    hidden = JSON.parse(secrets.open(sealed, context))
  } catch (cause) {
    const message = 'The source’s secrets were sealed with another HUB_SECRET_KEY. Put the schedule again.'
    throw new HubError({ code: 'secret_unreadable', status: 501, message, cause })
  }
  const headers = { ...('headers' in source && source.headers), ...(hidden.headers as object) }
  return { ...source, ...hidden, ...('headers' in source && { headers }) } as Source
}

const noSecretKey = () =>
  new HubError({
    code: 'secret_key_missing',
    status: 501,
    message:
      'The hub stores no secret headers or keys of a source without HUB_SECRET_KEY. Set it, to 16 characters or more, on every instance.',
  })
