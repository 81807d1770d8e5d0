import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readme, scriptsModule } from '../infra/generate.ts'

const root = join(import.meta.dirname, '..')

it.each([
  ['shared/scripts.generated.ts', scriptsModule],
  ['README.md', readme],
])('%s is fresh: npm run generate', (file, make) => {
  expect(readFileSync(join(root, file), 'utf8')).toBe(make())
})
