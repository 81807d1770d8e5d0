import { Parser } from 'htmlparser2'
import { HubError } from '../errors.ts'

export interface XmlElement {
  /** With its prefix, as it stands there. */
  name: string
  attributes: Record<string, string>
  children: XmlElement[]
  /** Its own, without that of elements in it. */
  text: string
  /** What stands between its tags. */
  inner: string
}

const DEEPEST = 100

/**
 * The root element of an XML document. A document type is skipped and no entity but XML's own five and numbers is replaced, so that
 * nothing grows and nothing is fetched.
 *
 * Errors: 422 `invalid_xml` where tags do not match or the end is missing.
 */
export function readXml(text: string): XmlElement {
  const top: XmlElement = { name: '', attributes: {}, children: [], text: '', inner: '' }
  const open = [top]
  const starts = [0]
  const parser: Parser = new Parser(
    {
      onopentag(name, attributes) {
        if (open.length > DEEPEST) throw invalidXml(`it nests more than ${DEEPEST} elements`)
        const element: XmlElement = { name, attributes, children: [], text: '', inner: '' }
        open.at(-1)!.children.push(element)
        open.push(element)
        starts.push(parser.endIndex + 1)
      },
      ontext(piece) {
        open.at(-1)!.text += piece
      },
      onclosetag(name, isImplied) {
        const start = starts.pop()!
        // The parser takes `<a/>` for an opening tag that implies its end.
        const closesItself = start === parser.endIndex + 1 && text[parser.endIndex - 1] === '/'
        if (isImplied && !closesItself) throw invalidXml(`\`${name}\` is not closed`)
        open.pop()!.inner = text.slice(start, Math.max(start, parser.startIndex))
      },
    },
    { xmlMode: true },
  )
  parser.end(text)
  const [root] = top.children
  if (!root) throw invalidXml('it has no element')
  return root
}

/** The first child of that name. */
export const childOf = (element: XmlElement, name: string): XmlElement | undefined =>
  element.children.find((child) => child.name === name)

export const childrenOf = (element: XmlElement, name: string): XmlElement[] =>
  element.children.filter((child) => child.name === name)

/** Trimmed; undefined where there is none. */
export const textOf = (element: XmlElement, name: string): string | undefined =>
  childOf(element, name)?.text.trim() || undefined

const invalidXml = (what: string) =>
  new HubError({ code: 'invalid_xml', status: 422, message: `This is no XML that can be read: ${what}.` })
