/** `npm run generate`: writes the files made from others. A test asserts that they are fresh. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

import { configureProviders } from '../shared/drivers/providers.ts'
import { Env } from './env.ts'

const root = new URL('..', import.meta.url)

/** `shared/scripts.generated.ts`: every Lua script with its SHA-1, so that no runtime needs a file system or a loader. */
export function scriptsModule(): string {
  const folder = new URL('shared/scripts/', root)
  const scripts = readdirSync(folder)
    .filter((file) => file.endsWith('.lua'))
    .sort()
    .map((file) => {
      const [, name, keyCount] = /^([a-z-]+)-(\d+)\.lua$/.exec(file) ?? []
      if (!name)
        throw new Error(`shared/scripts/${file}: the name must end in its number of keys, as in lead-3.lua`)
      const source = readFileSync(new URL(file, folder), 'utf8')
      const sha = createHash('sha1').update(source).digest('hex')
      const constant = name.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase())
      return `export const ${constant}Script: Script = {\n  name: '${name}',\n  sha: '${sha}',\n  keyCount: ${keyCount},\n  source: ${JSON.stringify(source)},\n}\n`
    })
  return `// Made from shared/scripts/*.lua by \`npm run generate\`. Do not edit.\nimport type { Script } from './ports/redis.ts'\n\n${scripts.join('\n')}`
}

/** Where the tables of the environment and of providers are. */
export const CONFIGURATION = 'infra/docs/configuration.md'

/** That page with its tables made anew. */
export function configurationPage(): string {
  const text = readFileSync(new URL(CONFIGURATION, root), 'utf8')
  return replaceBetween(
    replaceBetween(text, 'environment', environmentTable()),
    'providers',
    providersTable(),
  )
}

function environmentTable(): string {
  const rows = Object.entries(Env.shape).map(([name, schema]) => {
    const preset = schema.safeParse(undefined)
    const value = preset.success && preset.data !== undefined ? `\`${preset.data}\`` : ''
    return `| \`${name}\` | ${value} | ${schema.description} |`
  })
  return ['| variable | default | what it is |', '|---|---|---|', ...rows].join('\n')
}

function providersTable(): string {
  const rows = configureProviders({ env: {} }).map(({ name, missing, models, embeddings }) => {
    const priced = [...models].filter(([, price]) => price).length
    const embeds = embeddings?.model ? `\`${embeddings.model}\`` : embeddings ? 'named' : ''
    return `| \`${name}\` | ${missing.map((variable) => `\`${variable}\``).join(', ')} | ${priced || ''} | ${embeds} |`
  })
  return [
    '| provider | set | chat models with a known price | embedding model |',
    '|---|---|---|---|',
    ...rows,
  ].join('\n')
}

function replaceBetween(text: string, name: string, content: string): string {
  const pattern = new RegExp(`(<!-- ${name}:[^>]*-->\\n)[^]*?(<!-- /${name} -->)`)
  if (!pattern.test(text))
    throw new Error(`${CONFIGURATION} has no <!-- ${name}: … --> and <!-- /${name} -->`)
  return text.replace(pattern, (_, start, end) => `${start}\n${content}\n\n${end}`)
}

if (import.meta.main) {
  writeFileSync(new URL(CONFIGURATION, root), configurationPage())
  writeFileSync(new URL('shared/scripts.generated.ts', root), scriptsModule())
  // It loads the whole hub, which needs the scripts.
  const { clientRoutes } = await import('./generate-client.ts')
  writeFileSync(new URL('infra/client/routes.generated.ts', root), await clientRoutes())
}
