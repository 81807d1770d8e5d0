import { HubError } from '../../errors.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Outgoing } from '../../ports/outgoing.ts'
import { htmlToText } from '../../text/html-text.ts'
import { type BuiltIns, objectOf, text } from './built-in.ts'
import { failed, ok } from './tool-action.ts'
import { callHttp, type HttpCall, type HttpReply, toFailure } from './tool-http.ts'

const MOST_REDIRECTS = 5
const READABLE = /^text\/|[/+](json|xml|yaml|x-yaml|javascript|x-ndjson)\b|x-www-form-urlencoded/i

/** `http_fetch`: hosts that are allowed, and no others, whatever a page or a redirect says. */
export function fetchTools({ outgoing, clock }: { outgoing: Outgoing; clock: Clock }) {
  async function follow(call: HttpCall, allow: readonly string[], redirects = 0): Promise<HttpReply> {
    const { url, method } = call
    if (!allow.some((pattern) => covers(pattern, url))) {
      const message = `${url.origin} is not among the allowed hosts: ${allow.join(', ')}.`
      throw new HubError({ code: 'host_not_allowed', status: 403, message })
    }
    const reply = await callHttp(outgoing, call)
    const location = reply.headers.get('location')
    if (method !== 'GET' || ![301, 302, 303, 307, 308].includes(reply.status) || !location) return reply
    const to = URL.parse(location, url)
    if (!to || redirects === MOST_REDIRECTS) {
      const message = `${url.host} redirects ${to ? `more than ${MOST_REDIRECTS} times` : 'to what is no URL'}.`
      throw new HubError({ code: 'tool_failed', status: 422, message })
    }
    return follow({ ...call, url: to }, allow, redirects + 1)
  }

  return {
    http_fetch: {
      description: 'Call a URL. Only allowed hosts can be called.',
      parameters({ allow, methods = ['GET'] }) {
        const url = text(`An https URL of: ${allow.join(', ')}.`, 2_000)
        if (methods.length === 1 && methods[0] === 'GET') return objectOf({ url }, ['url'])
        const more = {
          method: { enum: methods },
          body: { type: 'string', maxLength: 1_000_000, description: 'JSON or text.' },
        }
        return objectOf({ url, ...more }, methods.includes('GET') ? ['url'] : ['url', 'method'])
      },
      host: ({ url }) => URL.parse(url)?.host,
      async invoke(args, { allow, as, allow_private = false }, { signal, idempotencyKey }) {
        const { url: given, method = 'GET', body } = args
        const url = URL.parse(given)
        if (!url || url.username || url.password)
          return failed(`Not called: ${url ? '`url` holds credentials.' : '`url` is no URL.'}`)
        const headers = {
          accept: 'text/*, application/json, */*;q=0.5',
          ...(method !== 'GET' && { 'idempotency-key': idempotencyKey }),
          ...(body !== undefined && {
            'content-type': isJson(body) ? 'application/json' : 'text/plain; charset=utf-8',
          }),
        }
        const call = {
          url,
          method,
          headers,
          body: method === 'GET' ? undefined : body,
          allowPrivate: allow_private,
          signal,
        }
        const reply = await follow(call, allow)
        if (reply.status < 200 || reply.status > 299) throw toFailure(reply, clock)
        const type = reply.headers.get('content-type') ?? 'text/plain'
        if (!READABLE.test(type)) return failed(`${reply.url.host} sent ${type}, which is no text.`)
        return ok(as === 'text' && /html/i.test(type) ? htmlToText(reply.text) : reply.text)
      },
    },
  } satisfies BuiltIns
}

/** A host without a port stands for the usual one. */
function covers(pattern: string, { protocol, hostname, port }: URL): boolean {
  const usual = protocol === 'http:' ? '80' : '443'
  const [, wildcard, host = '', allowed = usual] =
    /^(\*\.)?([^:]+)(?::(\d+))?$/.exec(pattern.toLowerCase()) ?? []
  const name = hostname.replace(/\.$/, '')
  return allowed === (port || usual) && (wildcard ? name.endsWith(`.${host}`) : name === host)
}

function isJson(body: string): boolean {
  try {
    JSON.parse(body)
    return true
  } catch {
    return false
  }
}
