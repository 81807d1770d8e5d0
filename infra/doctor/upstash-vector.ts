import type { Env } from '../env.ts'
import { type Finding, fault, ok } from './finding.ts'

const TIMEOUT_MS = 5_000

/** Whether the index of vectors answers, and to this token. */
export async function checkUpstashVector(env: Env): Promise<Finding[]> {
  const { UPSTASH_VECTOR_REST_URL: url, UPSTASH_VECTOR_REST_TOKEN: token } = env
  if (!url) return []
  const check = 'Upstash Vector'
  const { host } = new URL(url)
  try {
    const reply = await fetch(new URL('info', url.endsWith('/') ? url : `${url}/`), {
      ...{ method: 'POST', body: '{}', signal: AbortSignal.timeout(TIMEOUT_MS) },
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    })
    if (reply.ok) return [ok(check, `It answers at ${host}.`)]
    if (reply.status === 401 || reply.status === 403)
      return [
        fault(
          check,
          `${host} refuses the token.`,
          'Copy UPSTASH_VECTOR_REST_TOKEN of this index from the console again.',
        ),
      ]
    return [
      fault(
        check,
        `${host} answers ${reply.status}.`,
        'See whether UPSTASH_VECTOR_REST_URL is the REST address of the index.',
      ),
    ]
  } catch (error) {
    const why = ((error as Error).cause as Error | undefined)?.message || (error as Error).message
    return [
      fault(
        check,
        `${host} cannot be reached: ${why}`,
        'Correct UPSTASH_VECTOR_REST_URL, or see whether this machine may reach it.',
      ),
    ]
  }
}
