import { Parser } from 'htmlparser2'
import { HubError } from '../errors.ts'

/** What a reader of the page's text does not read. */
const SKIPPED = new Set(
  'script style noscript template nav svg math iframe object canvas audio video button select textarea dialog'.split(
    ' ',
  ),
)
const BLOCKS = new Set(
  'address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form header hgroup hr main ol p section summary table ul'.split(
    ' ',
  ),
)

/**
 * The text of an HTML page: what is read, without scripts, styles, navigation and what is hidden. Headings, lists and the cells of
 * tables are marked as in Markdown, so that the text can be split where the page pauses. Wrong HTML is read as a browser would;
 * only 422 `html_too_deep` refuses what nests thousands of levels deep, as the parser is quadratic in the depth.
 */
export function htmlToText(html: string): string {
  let text = ''
  let title = ''
  /** What separates the text so far from the next, if there is any. */
  let gap = ''
  let hasHeading = false
  /** How many open elements there are from a skipped one on. */
  let skipped = 0
  let preformatted = 0
  let inTitle = false
  let depth = 0

  const separate = (wanted: string) => {
    // The larger one counts: a paragraph in a list item in a list is one pause.
    if (rank(wanted) > rank(gap)) gap = wanted
  }
  const write = (piece: string) => {
    if (piece === '') return
    text += (text === '' ? gap.trimStart() : gap) + piece
    gap = ''
  }

  const parser = new Parser({
    onopentag(name, attributes) {
      if (++depth > DEEPEST) throw tooDeep()
      if (skipped > 0 || isHidden(name, attributes)) {
        skipped++
        return
      }
      if (name === 'title') inTitle = true
      if (/^h[1-6]$/.test(name)) {
        hasHeading = true
        separate('\n\n')
        gap = `\n\n${'#'.repeat(Number(name[1]))} `
      } else if (name === 'li') gap = gap === '\n\n' || text === '' ? '\n\n- ' : '\n- '
      else if (name === 'br' || name === 'tr') separate('\n')
      else if (name === 'td' || name === 'th') separate(' | ')
      else if (name === 'pre') {
        preformatted++
        separate('\n\n')
      } else if (BLOCKS.has(name)) separate('\n\n')
    },
    onclosetag(name) {
      depth--
      if (skipped > 0) {
        skipped--
        return
      }
      if (name === 'title') inTitle = false
      else if (name === 'pre') {
        preformatted--
        separate('\n\n')
      } else if (name === 'li' || name === 'tr') separate('\n')
      else if (/^h[1-6]$/.test(name) || BLOCKS.has(name)) separate('\n\n')
    },
    ontext(data) {
      if (skipped > 0) return
      if (inTitle) title += data
      else if (preformatted > 0) write(data)
      else {
        const words = data.replace(/[\s\u00a0]+/g, ' ')
        if (words.startsWith(' ')) separate(' ')
        write(words.trim())
        if (words.length > 1 && words.endsWith(' ')) separate(' ')
      }
    },
  })
  parser.end(html)
  const name = title.replace(/\s+/g, ' ').trim()
  return (name && !hasHeading ? `# ${name}\n\n${text}` : text).trim()
}

/** Browsers flatten from 512 on. */
const DEEPEST = 2_000

const tooDeep = () =>
  new HubError({
    code: 'html_too_deep',
    status: 422,
    message: `The page nests more than ${DEEPEST} elements. Send its text.`,
    param: 'body',
  })

function isHidden(name: string, attributes: Record<string, string>): boolean {
  return (
    SKIPPED.has(name) ||
    attributes.hidden !== undefined ||
    attributes['aria-hidden'] === 'true' ||
    attributes.role === 'navigation'
  )
}

/** How much a separator separates; one with a mark in it is never replaced by a lesser one. */
function rank(gap: string): number {
  if (/[#-]/.test(gap)) return 5
  return ['', ' ', ' | ', '\n', '\n\n'].indexOf(gap)
}
