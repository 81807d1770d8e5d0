import { HubRequestError } from '../client/hub-request-error.ts'
import { type Command, EXIT, hubOptions } from './command.ts'
import { createHubClient } from './hub-client.ts'
import { printJson, printTable, shown } from './output.ts'

/** `price`: USD per million tokens. */
interface ChatModel {
  id: string
  owned_by: string
  price?: { input?: number; output?: number } | null
}

interface InferenceModel {
  name: string
  default_version: string | null
}

export const models: Command = {
  usage: '',
  about: 'lists the models that can be asked, and those that infer',
  options: hubOptions,

  async run(call) {
    const hub = createHubClient(call)
    const [chat, inference] = await Promise.all([
      orNone(hub.json<{ data: ChatModel[] }>('/v1/models')),
      orNone(hub.json<{ data: InferenceModel[] }>('/v2/models')),
    ])
    if (!chat.data && !inference.data) throw chat.refusal
    if (call.values.json) {
      printJson({ completions: chat.data ?? null, inference: inference.data ?? null })
      return EXIT.ok
    }
    if (chat.data)
      printTable([
        ['MODEL', 'PROVIDER', 'USD IN', 'OUT (per million tokens)'],
        ...chat.data.map(({ id, owned_by, price }) => [
          ...[shown(id), shown(owned_by), String(price?.input ?? '-'), String(price?.output ?? '-')],
        ]),
      ])
    if (inference.data?.length) {
      console.log('')
      printTable([
        ['INFERENCE', 'VERSION'],
        ...inference.data.map(({ name, default_version }) => [shown(name), default_version ?? '-']),
      ])
    }
    return EXIT.ok
  },
}

/** A key may reach one of the two, and a hub may serve one of the two. */
const orNone = <T>(asked: Promise<{ data: T[] }>) =>
  asked.then(
    ({ data }) => ({ data, refusal: undefined }),
    (refusal: unknown) => {
      if (!(refusal instanceof HubRequestError) || ![403, 404].includes(refusal.status)) throw refusal
      return { data: undefined, refusal }
    },
  )
