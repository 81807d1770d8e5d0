import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CONFIGURATION, configurationPage, scriptsModule } from '../infra/generate.ts'
import { clientRoutes } from '../infra/generate-client.ts'

const root = join(import.meta.dirname, '..')

it.each([
  ['shared/scripts.generated.ts', scriptsModule],
  ['infra/client/routes.generated.ts', clientRoutes],
  [CONFIGURATION, configurationPage],
])('%s is fresh: npm run generate', async (file, make) => {
  expect(readFileSync(join(root, file), 'utf8')).toBe(await make())
})
