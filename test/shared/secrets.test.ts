import { expect, it } from 'vitest'
import { createSecrets } from '../../shared/secrets.ts'

it('a secret opens with its key and for its place only, and never looks the same twice', () => {
  const secrets = createSecrets('a secret key of tests')
  const sealed = secrets.seal('sk-é', 'credential/acme/openai/main')
  expect(sealed).not.toContain('sk-')
  expect(secrets.seal('sk-é', 'credential/acme/openai/main')).not.toBe(sealed)
  expect(secrets.open(sealed, 'credential/acme/openai/main')).toBe('sk-é')
  expect(() => secrets.open(sealed, 'credential/other/openai/main')).toThrow()
  expect(() => createSecrets('another key of tests').open(sealed, 'credential/acme/openai/main')).toThrow()
  expect(() => secrets.open(`v2${sealed.slice(2)}`, 'credential/acme/openai/main')).toThrow('v2')
})
