import { HubError } from '../errors.ts'
import type { Block, Content } from './messages-request.ts'

/** A part of a chat message in OpenAI's shape. */
export type Part =
  | { type: 'text'; text: string }
  | { type: 'image_url'; image_url: { url: string } }
  | { type: 'file'; file: { filename: string; file_data: string } }

/**
 * Anthropic's content as OpenAI's parts; what a model thought is left out.
 *
 * @param at the content's path in the request, for errors
 */
export function toParts(content: Content, at: string): Part[] {
  if (typeof content === 'string') return [text(content)]
  return content.flatMap((block, i) => partsOf(block, `${at}[${i}]`))
}

/** One text by itself is a string, as every provider takes it. */
export function toContent(parts: readonly Part[]): string | readonly Part[] {
  const [first] = parts
  return parts.length === 1 && first?.type === 'text' ? first.text : parts
}

/** Of content that may be nothing but text. Throws 400. */
export function toText(content: Content, at: string): string {
  return toParts(content, at)
    .map((part) => {
      if (part.type === 'text') return part.text
      throw unsupported(`${at}: only text can be here`, at)
    })
    .join('\n')
}

export function partsOf(block: Block, at: string): Part[] {
  switch (block.type) {
    case 'text':
      return [text(stringAt(block.text, `${at}.text`))]
    case 'image':
      return [{ type: 'image_url', image_url: { url: imageUrl(block.source, `${at}.source`) } }]
    case 'document':
      return documentParts(block, at)
    case 'search_result': {
      const head = `Search result: ${stringAt(block.title, `${at}.title`)} (${stringAt(block.source, `${at}.source`)})\n`
      return [text(head + toText(contentAt(block.content, `${at}.content`), `${at}.content`))]
    }
    case 'thinking':
    case 'redacted_thinking':
      return [] // signed for the model that thought it
    default:
      throw unsupported(
        `${at}: blocks of type \`${block.type}\` are not passed on. There are text, image, document, search_result, tool_use and tool_result.`,
        `${at}.type`,
      )
  }
}

function imageUrl(source: unknown, at: string): string {
  const { type, media_type, data, url } = sourceAt(source, at)
  if (type === 'base64')
    return `data:${stringAt(media_type, `${at}.media_type`)};base64,${stringAt(data, `${at}.data`)}`
  if (type === 'url') return stringAt(url, `${at}.url`)
  throw unsupported(`${at}: send the image as base64 or by its url; the hub keeps no files`, `${at}.type`)
}

function documentParts({ source: given, title, context }: Block, at: string): Part[] {
  const source = sourceAt(given, `${at}.source`)
  const head = [title, context].filter((line) => typeof line === 'string' && line !== '').join('\n')
  const named = (parts: Part[]) => (head ? [text(`Document: ${head}`), ...parts] : parts)
  if (source.type === 'text') return named([text(stringAt(source.data, `${at}.source.data`))])
  if (source.type === 'content') {
    const path = `${at}.source.content`
    return named(toParts(contentAt(source.content, path), path))
  }
  if (source.type === 'base64') {
    const filename = typeof title === 'string' && title ? title : 'document.pdf'
    const bytes = stringAt(source.data, `${at}.source.data`)
    const file = { filename, file_data: `data:application/pdf;base64,${bytes}` }
    return [...(context ? [text(`Document: ${head}`)] : []), { type: 'file', file }]
  }
  throw unsupported(
    `${at}.source: send the document as base64 or as text; the hub fetches and keeps no files`,
    `${at}.source.type`,
  )
}

const text = (text: string): Part => ({ type: 'text', text })

export function stringAt(value: unknown, at: string): string {
  if (typeof value === 'string') return value
  throw invalid(`${at}: must be a text`, at)
}

/** Texts or blocks. Throws 400. */
export function contentAt(value: unknown, at: string): Content {
  if (typeof value === 'string') return value
  if (Array.isArray(value) && value.every((block) => typeof block?.type === 'string')) return value
  throw invalid(`${at}: must be a text or a list of blocks`, at)
}

function sourceAt(value: unknown, at: string): Block {
  const source = value as Block | null | undefined
  if (typeof source?.type === 'string') return source
  throw invalid(`${at}: must be an object with a \`type\``, at)
}

const invalid = (message: string, param: string) =>
  new HubError({ code: 'invalid_value', status: 400, message, param })

export const unsupported = (message: string, param: string) =>
  new HubError({ code: 'unsupported_value', status: 400, message, param })
