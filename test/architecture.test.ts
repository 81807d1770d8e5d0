import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const rooms = ['functions', 'shared', 'infra', 'test']
const files = rooms.flatMap((room) =>
  readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(room, file)),
)

/** Files of this project that a file imports, types included. */
function importsOf(file: string): string[] {
  const source = readFileSync(join(root, file), 'utf8')
  return [...source.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(([, path]) =>
    relative(root, join(root, dirname(file), path!)),
  )
}

const offenders = (of: string, mayNot: (path: string) => boolean) =>
  files
    .filter((file) => file.startsWith(of))
    .flatMap((file) =>
      importsOf(file)
        .filter(mayNot)
        .map((path) => `${file} imports ${path}`),
    )

describe('imports point one way: rims → functions → domain → ports ← drivers', () => {
  it('reads imports at all', () => {
    expect(importsOf('infra/node.ts')).toContain('infra/wire.ts')
  })

  it('the domain knows neither functions, rims nor drivers', () => {
    const isDriver = (file: string) => file.startsWith('shared/drivers/')
    const bad = offenders('shared/', (path) => !path.startsWith('shared/') || isDriver(path))
    expect(bad.filter((line) => !isDriver(line))).toEqual([])
  })

  it('drivers know ports, errors, filters, tensors, what is only text, and each other, not the domain', () => {
    const allowed = /^shared\/(ports|drivers|text)\/|^shared\/(errors|filters|tensors)\.ts$/
    expect(offenders('shared/drivers/', (path) => !allowed.test(path))).toEqual([])
  })

  it('ports are types only', () => {
    const allowed = /^shared\/ports\/|^shared\/filters\.ts$/
    expect(offenders('shared/ports/', (path) => !allowed.test(path))).toEqual([])
    for (const file of files.filter((file) => file.startsWith('shared/ports/'))) {
      const source = readFileSync(join(root, file), 'utf8')
      expect(source, file).not.toMatch(/^export (const|function|class|let|default)/m)
    }
  })

  it('functions know neither rims nor drivers', () => {
    expect(
      offenders('functions/', (path) => path.startsWith('infra/') || path.startsWith('shared/drivers/')),
    ).toEqual([])
  })

  it('only rims read process.env', () => {
    const code = (file: string) =>
      readFileSync(join(root, file), 'utf8').replace(/^\s*(\/\/|\*|\/\*).*$/gm, '')
    const reading = files.filter(
      (file) => /^(functions|shared)/.test(file) && code(file).includes('process.env'),
    )
    expect(reading).toEqual([])
  })
})
