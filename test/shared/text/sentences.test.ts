import { describe, expect, it } from 'vitest'
import { highlightsOf } from '../../../shared/text/highlights.ts'
import { sentencesOf } from '../../../shared/text/sentences.ts'

const said = (text: string) => sentencesOf(text).map(({ start, end }) => text.slice(start, end))

describe('sentences', () => {
  it('a wrapped line does not end one, an empty line and a list item do', () => {
    expect(said('One goes\nover two lines. Two.\n\nThree\n- four\n2. five\n# Six')).toEqual([
      'One goes\nover two lines.',
      'Two.',
      'Three',
      'four',
      'five',
      'Six',
    ])
  })

  it('are spans of the text as it is, with CRLF and characters of two units', () => {
    expect(said('😀 smiles.\r\nIt ends 👩‍🚀.  Again!')).toEqual(['😀 smiles.', 'It ends 👩‍🚀.', 'Again!'])
  })

  it('rules and white space are none', () => {
    expect(said(' \n\n---\n\n***\n\t')).toEqual([])
  })
})

describe('highlights', () => {
  const marked = (text: string, query: string) =>
    highlightsOf(text, query).map(({ start, end }) => text.slice(start, end))

  it('are the words that the query has in another form too', () => {
    expect(marked('😀 Connections are closed; a connection closes.', 'closing the connection')).toEqual([
      'Connections',
      'closed',
      'connection',
      'closes',
    ])
  })

  it('are none for a query without words', () => {
    expect(marked('the words', '?! the')).toEqual([])
  })
})
