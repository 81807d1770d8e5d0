import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { HubError } from '../errors.ts'
import { webhookSecretBytes } from './signing.ts'

/** Who sends, and so how it is signed. */
export type WebhookScheme = keyof typeof schemes

/** A webhook as it came. */
export interface SignedRequest {
  headers: Headers
  /** The bytes that were signed. */
  body: Uint8Array
}

interface Scheme {
  /** Throws 400 for a secret that cannot be one of theirs. */
  keyOf(secret: string): Uint8Array | string
  encoding: 'hex' | 'base64'
  /** Unix seconds as text, where they sign one. */
  timestamp?(headers: Headers): string | undefined
  /** What is signed before the body. */
  prefix(headers: Headers): string
  /** Of all secrets that they sign with. */
  signatures(headers: Headers): string[]
}

const part = (text: string, separator: string, start: string) =>
  text
    .split(separator)
    .map((piece) => piece.trim())
    .filter((piece) => piece.startsWith(start))
    .map((piece) => piece.slice(start.length))

const header = (headers: Headers, name: string) => headers.get(name) ?? ''
const stripeTime = (headers: Headers) => part(header(headers, 'stripe-signature'), ',', 't=')[0]

/** HMAC-SHA256 in all of them; where each is documented stands beside it. */
export const schemes = {
  /** https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md */
  standard: {
    keyOf: webhookSecretBytes,
    encoding: 'base64',
    timestamp: (headers) => header(headers, 'webhook-timestamp'),
    prefix: (headers) => `${header(headers, 'webhook-id')}.${header(headers, 'webhook-timestamp')}.`,
    signatures: (headers) => part(header(headers, 'webhook-signature'), ' ', 'v1,'),
  },
  /** https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries: neither time nor delivery id are signed. */
  github: {
    keyOf: (secret) => secret,
    encoding: 'hex',
    prefix: () => '',
    signatures: (headers) => part(header(headers, 'x-hub-signature-256'), ',', 'sha256='),
  },
  /** https://docs.stripe.com/webhooks#verify-manually: schemes other than v1 are ignored. */
  stripe: {
    keyOf: (secret) => secret,
    encoding: 'hex',
    timestamp: stripeTime,
    prefix: (headers) => `${stripeTime(headers)}.`,
    signatures: (headers) => part(header(headers, 'stripe-signature'), ',', 'v1='),
  },
  /** https://docs.slack.dev/authentication/verifying-requests-from-slack */
  slack: {
    keyOf: (secret) => secret,
    encoding: 'hex',
    timestamp: (headers) => header(headers, 'x-slack-request-timestamp'),
    prefix: (headers) => `v0:${header(headers, 'x-slack-request-timestamp')}:`,
    signatures: (headers) => part(header(headers, 'x-slack-signature'), ',', 'v0='),
  },
} satisfies Record<string, Scheme>

/** How far a signed time may be from ours, both ways: what each of them recommends. */
export const TOLERANCE_SECONDS = 300

/**
 * Throws 401 unless one of the secrets signed these bytes, lately. Who does not know a secret learns no more than that.
 *
 * @returns a name for exactly this message: the hash of what was signed.
 */
export function verifyWebhook(
  name: WebhookScheme,
  { headers, body }: SignedRequest,
  secrets: readonly string[],
  nowMs: number,
): string {
  const scheme: Scheme = schemes[name]
  // A sender that changes its secret signs with two or three; each costs a comparison.
  const given = scheme.signatures(headers).slice(0, MOST_SIGNATURES)
  const signed = Buffer.concat([Buffer.from(scheme.prefix(headers)), body])
  let isSigned = false
  for (const secret of secrets) {
    const expected = createHmac('sha256', scheme.keyOf(secret)).update(signed).digest()
    for (const text of given) {
      const signature = Buffer.from(text, scheme.encoding)
      // Every one is compared: time does not tell which of them was right.
      if (signature.length === expected.length && timingSafeEqual(signature, expected)) isSigned = true
    }
  }
  if (!isSigned) throw refused('The signature is missing or wrong.')
  if (scheme.timestamp) {
    const seconds = scheme.timestamp(headers) ?? ''
    // NaN is no time, and is refused with the others.
    const isLate = !(Math.abs(nowMs / 1000 - Number(seconds)) <= TOLERANCE_SECONDS)
    if (!/^\d{1,12}$/.test(seconds) || isLate) {
      throw refused(`The signed time is more than ${TOLERANCE_SECONDS} seconds from ours: sign it anew.`)
    }
  }
  return createHash('sha256').update(signed).digest('base64url')
}

const MOST_SIGNATURES = 10

const refused = (message: string) =>
  new HubError({ code: 'invalid_signature', status: 401, message, type: 'authentication_error' })
