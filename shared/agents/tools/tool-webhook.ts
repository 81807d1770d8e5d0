import type { Clock } from '../../ports/clock.ts'
import type { Outgoing } from '../../ports/outgoing.ts'
import { signWebhook } from '../../webhooks/signing.ts'
import type { WebhookToolSetting } from './tool.ts'
import { type Action, ok } from './tool-action.ts'
import { fingerprint } from './tool-cache.ts'
import { callHttp, toFailure } from './tool-http.ts'

/**
 * A caller's own tool: POST of `{type: 'tool.call', timestamp, data: {tool, arguments, agent, step}}`, signed by Standard Webhooks. Its
 * `webhook-id` is the call's idempotency key; what it replies is what the model reads.
 */
export function webhookAction(
  setting: WebhookToolSetting,
  { outgoing, clock }: { outgoing: Outgoing; clock: Clock },
): Pick<Action, 'name' | 'description' | 'parameters' | 'identity' | 'host' | 'invoke'> {
  const { name, description = '', parameters = { type: 'object' }, secret } = setting
  const url = new URL(setting.url)
  return {
    ...{ name, description, parameters },
    identity: ['webhook', name, setting.url, secret === undefined ? null : fingerprint(secret)],
    host: () => url.host,
    async invoke(args, { agent, step, idempotencyKey, signal }) {
      const at = clock.now()
      const data = { tool: name, arguments: args, agent, step }
      const body = JSON.stringify({ type: 'tool.call', timestamp: new Date(at).toISOString(), data })
      const secrets = secret === undefined ? [] : [secret]
      const reply = await callHttp(outgoing, {
        ...{ url, method: 'POST', body, allowPrivate: setting.allow_private ?? false, signal },
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/*',
          'idempotency-key': idempotencyKey,
          ...signWebhook({ id: idempotencyKey, at, body, secrets }),
        },
      })
      if (reply.status < 200 || reply.status > 299) throw toFailure(reply, clock)
      return ok(reply.text || `${url.host} answered ${reply.status} and said nothing.`)
    },
  }
}
