import { deflateSync } from 'node:zlib'

export interface PdfOptions {
  /** A password is needed to read it. */
  encrypted?: boolean
  /** Bytes of white space in each page's content, which compress to nothing. */
  padding?: number
}

/** A PDF with one line of text a page; a page of `''` has none. */
export function makePdf(
  pages: readonly string[],
  { encrypted = false, padding = 0 }: PdfOptions = {},
): Uint8Array {
  const objects: Buffer[] = []
  const add = (text: string | Buffer) =>
    objects.push(Buffer.isBuffer(text) ? text : Buffer.from(text, 'latin1'))
  const kids = pages.map((_, i) => `${4 + 2 * i} 0 R`).join(' ')
  add('<< /Type /Catalog /Pages 2 0 R >>')
  add(`<< /Type /Pages /Kids [${kids}] /Count ${pages.length} >>`)
  add('<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>')
  for (const [i, text] of pages.entries()) {
    add(
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents ${5 + 2 * i} 0 R /Resources << /Font << /F1 3 0 R >> >> >>`,
    )
    const shown = text === '' ? '' : `BT /F1 12 Tf 72 720 Td (${text.replace(/[\\()]/g, '\\$&')}) Tj ET`
    const content = deflateSync(Buffer.concat([Buffer.alloc(padding, ' '), Buffer.from(shown, 'latin1')]))
    add(
      Buffer.concat([
        Buffer.from(`<< /Length ${content.length} /Filter /FlateDecode >>\nstream\n`),
        content,
        Buffer.from('\nendstream'),
      ]),
    )
  }
  const secret = 'ab'.repeat(32)
  if (encrypted) add(`<< /Filter /Standard /V 1 /R 2 /O <${secret}> /U <${secret}> /P -4 >>`)

  const parts = [Buffer.from('%PDF-1.4\n')]
  const offsets: number[] = []
  let at = parts[0]!.length
  for (const [i, object] of objects.entries()) {
    offsets.push(at)
    const part = Buffer.concat([Buffer.from(`${i + 1} 0 obj\n`), object, Buffer.from('\nendobj\n')])
    parts.push(part)
    at += part.length
  }
  const rows = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('')
  const more = encrypted ? ` /Encrypt ${objects.length} 0 R /ID [<aa> <aa>]` : ''
  parts.push(
    Buffer.from(
      `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R${more} >>\nstartxref\n${at}\n%%EOF\n`,
    ),
  )
  return new Uint8Array(Buffer.concat(parts))
}
