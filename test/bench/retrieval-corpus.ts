import { createHash } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** What somebody wrote about one name of an API, without its first sentence: that is what is searched with. */
export interface Passage {
  /** First 12 hex digits of the text's SHA-256. */
  id: string
  text: string
  heldOut: string
}

export interface Query {
  query: string
  /** The one passage that it was taken from. */
  passage: string
  /** `tune` is looked at while weights are chosen, `report` is not. */
  half: 'tune' | 'report'
}

export const QUERIES = new URL('../fixtures/retrieval-queries.jsonl', import.meta.url)

/**
 * Doc comments of @types/node (MIT) and of TypeScript's own declarations (Apache-2.0), which the lock file pins: prose
 * that people wrote for people. A comment's first sentence says what a thing is; it is held out, and the others are the
 * passage. Comments that say the same are one.
 */
export function readPassages(): Passage[] {
  const require = createRequire(import.meta.url)
  const folders = [dirname(require.resolve('@types/node/package.json')), typescriptFolder(require)]
  const known = new Set<string>()
  const passages: Passage[] = []
  for (const folder of folders) {
    for (const file of globSync('**/*.d.ts', { cwd: folder }).sort()) {
      for (const [, comment = ''] of readFileSync(join(folder, file), 'utf8').matchAll(
        /\/\*\*([\s\S]*?)\*\//g,
      )) {
        const [first = '', ...others] = sentencesOf(toProse(comment))
        const text = others.join(' ')
        if (wordsOf(first) < 5 || wordsOf(text) < 10 || /\b(e\.g|i\.e)\.$/.test(first)) continue
        if (known.has(first) || known.has(text)) continue
        known.add(first).add(text)
        passages.push({ id: sha256(text).slice(0, 12), text, heldOut: first })
      }
    }
  }
  return passages
}

/** 600 of them, in the order of their ids, which is none; every second one is for tuning. */
function pickQueries(passages: readonly Passage[]): Query[] {
  const picked = passages.toSorted((a, b) => (a.id < b.id ? -1 : 1)).slice(0, 600)
  return picked.map(({ id, heldOut }, i) => ({
    query: heldOut,
    passage: id,
    half: i % 2 === 0 ? 'tune' : 'report',
  }))
}

/** The prose of a doc comment: no code blocks, no tags (`@param` …), no markup. */
function toProse(comment: string): string {
  const [prose = ''] = comment.replace(/^\s*\* ?/gm, '').split(/^\s*@/m)
  return prose
    .replace(/```[\s\S]*?(```|$)/g, ' ')
    .replace(/\{@link\s+([^}|\s]+)[^}]*\}/g, '$1')
    .replace(/\[MDN Reference\]\([^)]*\)/g, '')
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/<[^>]+>/g, ' ')
    .replace(/[*`]+/g, '')
    .replace(/\s+/g, ' ')
    .trim()
}

const segmenter = new Intl.Segmenter('en', { granularity: 'sentence' })
const sentencesOf = (text: string) => Array.from(segmenter.segment(text), ({ segment }) => segment.trim())
const wordsOf = (text: string) => text.match(/[\p{L}\p{N}]{2,}/gu)?.length ?? 0
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/** The declarations are in the package of this platform. */
function typescriptFolder(require: NodeJS.Require): string {
  const { resolve } = createRequire(require.resolve('typescript/package.json'))
  return join(
    dirname(resolve(`@typescript/typescript-${process.platform}-${process.arch}/package.json`)),
    'lib',
  )
}

/** Wrote the queries, once: `node test/bench/retrieval-corpus.ts > test/fixtures/retrieval-queries.jsonl`. */
if (import.meta.main) for (const query of pickQueries(readPassages())) console.log(JSON.stringify(query))
