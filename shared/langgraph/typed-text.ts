import type { SerializerProtocol } from '@langchain/langgraph-checkpoint'

/** A value by LangGraph's serializer as text, since Redis over HTTP carries nothing else: `text json\n{…}`, or base64 of what is no UTF-8. */
export async function toTypedText(serde: SerializerProtocol, value: unknown): Promise<string> {
  const [type, bytes] = await serde.dumpsTyped(value)
  try {
    return `text ${type}\n${utf8.decode(bytes)}`
  } catch {
    return `base64 ${type}\n${Buffer.from(bytes).toString('base64')}`
  }
}

/** The value of such a text. */
export async function fromTypedText(serde: SerializerProtocol, text: string): Promise<unknown> {
  const space = text.indexOf(' ')
  const end = text.indexOf('\n')
  const type = text.slice(space + 1, end)
  const content = text.slice(end + 1)
  const isText = text.slice(0, space) === 'text'
  return serde.loadsTyped(type, isText ? content : new Uint8Array(Buffer.from(content, 'base64')))
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
