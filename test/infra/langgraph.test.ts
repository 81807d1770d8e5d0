import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createCheckpointSaver } from '../../infra/langgraph.ts'

const root = join(import.meta.dirname, '../..')

it('nothing else of the hub knows LangChain', () => {
  const files = ['functions', 'shared', 'infra'].flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).map((file) => join(room, file)),
  )
  const knowing = files.filter(
    (file) => file.endsWith('.ts') && /@langchain|\/langgraph\//.test(readFileSync(join(root, file), 'utf8')),
  )
  expect(
    knowing.filter(
      (file) => !/^(infra\/(lang(graph|chain)|npm\/hub-package)|shared\/langgraph\/)/.test(file),
    ),
  ).toEqual([])
})

it('says what of its options is wrong', () => {
  const wrong = (options: Partial<Parameters<typeof createCheckpointSaver>[0]>) => () =>
    createCheckpointSaver({ url: 'redis://127.0.0.1:6379', ...options })
  expect(wrong({ tenant: 'a b' })).toThrow(/tenant must be/)
  expect(wrong({ ttlSeconds: 0 })).toThrow(/ttlSeconds must be/)
  expect(wrong({ url: 'https://x.upstash.io' })).toThrow(/token is missing/)
  expect(wrong({ url: 'not a URL' })).toThrow(/The Redis URL is not one/)
})
