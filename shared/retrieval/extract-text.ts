import { HubError } from '../errors.ts'
import type { ReadPdf } from '../ports/pdf.ts'
import { htmlToText } from '../text/html-text.ts'

/** Media types that a text can be made of. */
export const TEXT_TYPES = ['text/plain', 'text/markdown', 'text/html', 'application/pdf'] as const

/**
 * The text of a document's bytes. `contentType` may name a charset; else it is UTF-8.
 *
 * Errors: `HubError` 400 `invalid_encoding`, 415 for another type or charset, 422 `no_text` and those of `ReadPdf`, 501
 * `not_supported` for a PDF where the runtime cannot read one.
 */
export type ExtractText = (
  contentType: string,
  bytes: Uint8Array,
  options: { signal: AbortSignal },
) => Promise<string>

export function createExtractText({ readPdf }: { readPdf?: ReadPdf }): ExtractText {
  return async (contentType, bytes, options) => {
    const [type = ''] = contentType
      .toLowerCase()
      .split(';')
      .map((part) => part.trim())
    if (type === 'application/pdf') {
      if (!readPdf) throw noPdf()
      const text = (await readPdf(bytes, options)).map((page) => page.trim()).join('\n\n')
      if (text.trim() === '')
        throw noText('The PDF has no text: its pages are pictures. Recognise their text first (OCR).')
      // A font without a table of characters yields halves of surrogate pairs.
      return text.toWellFormed()
    }
    if (!TEXT_TYPES.some((one) => one === type)) throw wrongType(contentType)
    const text = decodeText(bytes, /;\s*charset="?([^";\s]+)/i.exec(contentType)?.[1])
    if (type !== 'text/html') return text
    const read = htmlToText(text)
    if (read === '' && text.trim() !== '')
      throw noText('The page has no text: a script may write it in a browser.')
    return read
  }
}

/** Throws 400 where the bytes are not of this encoding. */
export function decodeText(bytes: Uint8Array, charset = 'utf-8'): string {
  let decoder: TextDecoder
  try {
    decoder = new TextDecoder(charset, { fatal: true })
  } catch {
    const message = `There is no charset \`${charset}\`. Send UTF-8.`
    throw new HubError({ code: 'unsupported_media_type', status: 415, message })
  }
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    const message = `The body is not ${decoder.encoding.toUpperCase()}. Convert it, or name its charset in Content-Type.`
    throw new HubError({ code: 'invalid_encoding', status: 400, message, param: 'body', cause })
  }
}

const noText = (message: string) => new HubError({ code: 'no_text', status: 422, message, param: 'body' })

const noPdf = () =>
  new HubError({
    code: 'not_supported',
    status: 501,
    message:
      'This runtime reads no PDF: the reader is too large for it. Send the text, or send the PDF to a hub on Node.',
  })

const wrongType = (type: string) =>
  new HubError({
    code: 'unsupported_media_type',
    status: 415,
    message: `Content-Type is ${type ? `\`${type}\`` : 'missing'}. Send application/json, ${TEXT_TYPES.join(', ')}.`,
  })
