import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const pages = readdirSync(join(root, 'infra/docs')).filter((name) => name.endsWith('.md'))

/** Files that a page links to, from the root. */
function links(page: string): string[] {
  const text = readFileSync(join(root, page), 'utf8').replace(/^```[\s\S]*?^```$/gm, '')
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!.split('#')[0]!)
  return targets
    .filter((target) => target && !/^\w+:/.test(target))
    .map((target) => join(dirname(page), target))
}

it.each(['README.md', ...pages.map((page) => `infra/docs/${page}`)])('%s links to what is there', (page) => {
  expect(links(page).filter((target) => !existsSync(join(root, target)))).toEqual([])
})

it('every page can be found from the README', () => {
  const found = new Set(['README.md'])
  for (const page of found) for (const target of links(page)) if (target.endsWith('.md')) found.add(target)
  expect(pages.filter((page) => !found.has(`infra/docs/${page}`))).toEqual([])
})
