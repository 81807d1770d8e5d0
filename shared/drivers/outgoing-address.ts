import ipaddr from 'ipaddr.js'
import { HubError } from '../errors.ts'

/** Whether an address is one of the Internet: not private, loopback, link-local, multicast, mapped, translated or reserved. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  const parsed = ipaddr.parse(address)
  if (parsed.range() !== 'unicast') return false
  // Whatever the library does not know by name: only 2000::/3 was ever given out (RFC 4291 2.4).
  return parsed instanceof ipaddr.IPv4 || (parsed.parts[0]! & 0xe000) === 0x2000
}

/** Names that never lead out of a machine or a network (RFC 6761, RFC 6762, RFC 8375, and what clouds use). */
const LOCAL_NAME = /(^|\.)(localhost|local|internal|home\.arpa|localdomain)$/i

/** Refuses a URL by what it says, before any name is resolved. */
export function checkUrl(url: URL, allowPrivate: boolean): void {
  if (url.protocol !== 'https:' && !(allowPrivate && url.protocol === 'http:')) {
    throw refusedUpstream(`${url.origin} is not https`)
  }
  if (allowPrivate) return
  const host = url.hostname.replace(/^\[|\]$|\.$/g, '')
  if (ipaddr.isValid(host) ? !isPublicAddress(host) : LOCAL_NAME.test(host)) {
    throw refusedUpstream(`${url.hostname} is not a public address`)
  }
}

/** Says neither more nor less than the route's admin needs: the caller does not learn which address a name has. */
export const refusedUpstream = (reason: string, cause?: unknown) =>
  new HubError({
    code: 'upstream_refused',
    status: 502,
    message: `The upstream is refused: ${reason}. An admin can allow it with \`allow_private\`.`,
    cause,
  })
