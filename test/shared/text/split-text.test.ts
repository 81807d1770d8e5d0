import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { splitText } from '../../../shared/text/split-text.ts'

const markdown = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')
const family = '👨‍👩‍👧‍👦'

const texts: [string, string][] = [
  ['Markdown', markdown],
  ['Markdown with CRLF', markdown.replaceAll('\n', '\r\n')],
  ['Chinese and Japanese without spaces', '日本語の文章です。これはテストです。你好，世界！'.repeat(200)],
  ['Thai, whose words only a dictionary parts', 'ภาษาไทยไม่มีช่องว่างระหว่างคำ'.repeat(200)],
  ['emoji of eleven units', family.repeat(400)],
  ['one giant line', 'some words and more of them '.repeat(2_000)],
  ['one giant word', 'x'.repeat(30_000)],
  ['one giant visible character', `a${'\u0301'.repeat(5_000)}`],
  ['surrogate pairs', '𝒳'.repeat(5_000)],
  ['much white space', `  \n\n a${' \n'.repeat(9_000)}b \t`],
  ['code', 'const a = [1,2,3];if(a){b()}\n'.repeat(500)],
  ['a table', '| a | b |\n|---|---|\n'.concat('| one cell | another cell |\n'.repeat(300))],
]
const sizes = [
  { size: 100, overlap: 0 },
  { size: 100, overlap: 33 },
  { size: 1_000, overlap: 150 },
]

describe('splitText', () => {
  it.each(texts)(
    '%s: parts lie in order, keep the bound, and together hold all that is no space',
    (_, text) => {
      for (const options of sizes) {
        const parts = splitText(text, options)
        let covered = 0
        let last = -1
        for (const { start, end } of parts) {
          const part = text.slice(start, end)
          expect(part).toBe(part.trim())
          expect(part.length).toBeGreaterThan(0)
          expect(part.length).toBeLessThanOrEqual(options.size)
          expect(part.isWellFormed()).toBe(true)
          expect(start).toBeGreaterThan(last)
          expect(text.slice(covered, start).trim()).toBe('')
          expect(covered - start).toBeLessThanOrEqual(options.overlap)
          expect(end).toBeGreaterThan(covered)
          last = start
          covered = end
        }
        expect(text.slice(covered).trim()).toBe('')
      }
    },
  )

  it('nothing but white space has no parts', () => {
    expect(splitText(' \r\n\t\u3000', { size: 100, overlap: 0 })).toEqual([])
  })

  const partsOf = (text: string, size: number, overlap = 0) =>
    splitText(text, { size, overlap }).map(({ start, end }) => text.slice(start, end))

  it('prefers a heading to a paragraph to a sentence to a word', () => {
    const section = `${'Words come. '.repeat(4)}\n\nMore words.\n`
    expect(partsOf(`${section}## Second\n\n${section}`, 80)).toEqual([
      section.trim(),
      `## Second\n\n${section.trim()}`,
    ])
    const [first] = partsOf(
      `${'One sentence of some words. '.repeat(3)}\n\nNext paragraph. ${'w '.repeat(90)}`,
      120,
    )
    expect(first).toBe('One sentence of some words. '.repeat(3).trim())
    expect(partsOf('It ends here. It goes on for a while and some more', 30)[0]).toBe('It ends here.')
    expect(partsOf('no sentence ends in here, words are whole', 30)[0]).toBe('no sentence ends in here,')
  })

  it('does not take the end of a wrapped line for the end of a sentence', () => {
    const text =
      'The first sentence stands here. The second one is\nwrapped, and goes on behind its line, so far.'
    expect(partsOf(text, 60)[0]).toBe('The first sentence stands here.')
  })

  it('repeats whole sentences, and nothing across a heading', () => {
    const sentences = Array.from({ length: 12 }, (_, i) => `Sentence number ${i + 10} says it.`)
    const parts = partsOf(sentences.join(' '), 150, 40)
    expect(parts.length).toBeGreaterThan(2)
    for (const [i, part] of parts.slice(1).entries()) {
      const repeated = sentences.find((sentence) => part.startsWith(sentence))!
      expect(parts[i]).toContain(repeated)
    }
    const [before, after] = partsOf(
      `${'Words come here. '.repeat(5)}\n# Head\n${'Others. '.repeat(9)}`,
      100,
      30,
    )
    expect([before!.endsWith('here.'), after!.startsWith('# Head')]).toEqual([true, true])
  })

  it('never parts a visible character that fits', () => {
    for (const part of partsOf(family.repeat(50), 50))
      expect(part).toBe(family.repeat(part.length / family.length))
  })
})
