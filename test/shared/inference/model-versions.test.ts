import { describe, expect, it } from 'vitest'
import { fromText, selectVersion, sortVersions, toText } from '../../../shared/inference/model-versions.ts'

const having = (versions: string[], labels: Record<string, string> = {}) => ({
  versions: new Map(versions.map((version) => [version, 'a'.repeat(64)])),
  labels: new Map(Object.entries(labels)),
})

describe('versions of a model', () => {
  it('count numbers in their names as numbers', () => {
    expect(sortVersions(having(['9', '10', '1']).versions)).toEqual(['10', '9', '1'])
    expect(sortVersions(having(['v1.9', 'v1.10', 'v1']).versions)).toEqual(['v1.10', 'v1.9', 'v1'])
    expect(sortVersions(having(['1', '01']).versions)).toEqual(sortVersions(having(['01', '1']).versions))
  })

  it('are chosen by name, then by label; by `stable`, then by greatness', () => {
    const found = having(['1', '2', '3'], { stable: '2', canary: '3' })
    expect(selectVersion('m', found)).toBe('2')
    expect(selectVersion('m', found, 'canary')).toBe('3')
    expect(selectVersion('m', found, '1')).toBe('1')
    expect(selectVersion('m', having(['1', '2']))).toBe('2')
    expect(() => selectVersion('m', found, '4')).toThrow(/no version 4/)
  })

  it('may have the names of what objects inherit', () => {
    const found = having(['__proto__', 'constructor'], { toString: '__proto__' })
    expect(fromText(toText(found))).toEqual(found)
    expect(selectVersion('m', found, 'toString')).toBe('__proto__')
    expect(() => selectVersion('m', having(['1']), 'constructor')).toThrow(/no version/)
  })
})
