import { expect, it } from 'vitest'
import { applied, fromLeaves, toChanges, toLeaves } from '../../shared/merge-patch.ts'
import { mergePatch, randomObject } from '../support/merge-patch.ts'
import { seeded } from '../support/random.ts'

it.each([
  [{}],
  [{ a: null, b: {}, c: [], d: [{ e: null }], f: '{}', g: '' }],
  [{ 'a/b': { '~1': 1, '': { '': 2 } }, 'm~n': 0.1 }],
  [{ n: [9_007_199_254_740_991, 1e300, -0.5], t: 'ü\u0000"\\', deep: { a: { b: { c: { d: true } } } } }],
  [JSON.parse('{"__proto__":{"__proto__":1},"constructor":2}')],
])('takes %j apart, and puts it together again', (object) => {
  expect(JSON.parse(JSON.stringify(fromLeaves(toLeaves(object))))).toEqual(object)
})

it('merges as RFC 7396 says: its own examples', () => {
  for (const [target, patch, result] of [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{ a: 'foo' }, { a: { b: 1, c: null } }, { a: { b: 1 } }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ]) {
    expect(fromLeaves(applied(toLeaves(target!), toChanges(patch!)))).toEqual(result)
  }
})

it('merges random patches as an implementation by the book does', () => {
  const random = seeded(11)
  for (let i = 0; i < 2_000; i++) {
    const [target, patch] = [randomObject(random), randomObject(random)]
    expect(fromLeaves(applied(toLeaves(target), toChanges(patch)))).toEqual(mergePatch(target, patch))
  }
})
