import { describe, expect, it } from 'vitest'
import { PipelineDefinition } from '../../../../shared/inference/pipelines/definition.ts'
import { postprocess } from '../../../../shared/inference/pipelines/postprocess.ts'
import { type PlainStep, toPrepared } from '../../../../shared/inference/pipelines/preprocess.ts'
import { type Kind, NUMBER, numbers, TEXT, type Value } from '../../../../shared/inference/pipelines/value.ts'

/** As a definition has them: with defaults. */
const parse = (side: 'preprocess' | 'postprocess', step: object) =>
  PipelineDefinition.parse({ inputs: {}, models: [{ model: 'm' }], [side]: [step] })[side][0]!

function prepared(step: object, values: Value[], kinds: Kind[] = values.map(kindOf)) {
  const from = 'as' in step ? values.map((_, n) => `v${n}`) : 'a'
  return toPrepared(parse('preprocess', { from, ...step }) as PlainStep, kinds, 'preprocess[0]').run(values)
}
const kindOf = (value: Value): Kind =>
  typeof value === 'string' ? TEXT : typeof value === 'object' ? numbers(value.length) : NUMBER

const shaped = (step: object, value: Value) =>
  postprocess(parse('postprocess', { from: 'a', ...step }) as never, value, 'postprocess[0]')

const near = (values: number[]) => values.map((value) => expect.closeTo(value, 12))

describe('before the models', () => {
  it('scale: by mean and deviation, or to a range; for all places or each', () => {
    expect(prepared({ op: 'scale', mean: 20, std: 4 }, [26])).toBe(1.5)
    expect(prepared({ op: 'scale', mean: [1, 2], std: [2, 0.5] }, [[5, 1]])).toEqual([2, -2])
    expect(prepared({ op: 'scale', min: -10, max: 30 }, [[0, 30, -20]])).toEqual([0.25, 1, -0.25])
    expect(prepared({ op: 'scale', min: 0, max: [10, 100] }, [[5, 5]])).toEqual([0.5, 0.05])
    expect(prepared({ op: 'scale', mean: [1, 2], std: 2 }, [[5, 4, 3, 2]])).toEqual([2, 1, 1, 0])
    const uneven = { op: 'scale', min: [0, 10], max: [20, 30, 40] }
    expect(prepared(uneven, [[10, 10, 10, 10, 10, 10]])).toEqual([0.5, 0, 0.25, 0, 1 / 3, 0])
  })

  it('clip: to either side', () => {
    expect(prepared({ op: 'clip', min: -1, max: 1 }, [[-3, 0.5, 7]])).toEqual([-1, 0.5, 1])
    expect(prepared({ op: 'clip', max: 2 }, [-9])).toBe(-9)
  })

  it('log: natural, of what is moved', () => {
    expect(prepared({ op: 'log' }, [Math.E])).toBe(1)
    expect(prepared({ op: 'log', offset: 1 }, [[0, Math.E - 1]])).toEqual(near([0, 1]))
    expect(prepared({ op: 'log' }, [-1])).toBeNaN()
  })

  it('one_hot: a place a category, of texts or numbers', () => {
    const categories = ['red', 'green', 'blue']
    expect(prepared({ op: 'one_hot', categories }, ['green'])).toEqual([0, 1, 0])
    expect(prepared({ op: 'one_hot', categories: [404, 500] }, [500])).toEqual([0, 1])
    expect(prepared({ op: 'one_hot', categories, unknown: 'zeros' }, ['grey'])).toEqual([0, 0, 0])
    expect(() => prepared({ op: 'one_hot', categories }, ['grey'])).toThrow('"grey"')
    expect(prepared({ op: 'one_hot', categories: ['red'] }, ['red'])).toBe(1)
  })

  it('bucketize: how many boundaries are at most as great', () => {
    const boundaries = [0, 10, 100]
    expect(prepared({ op: 'bucketize', boundaries }, [[-5, 0, 9.9, 10, 100, 1e9]])).toEqual([
      0, 1, 1, 2, 3, 3,
    ])
  })

  it('concat: one after the other', () => {
    expect(prepared({ op: 'concat', as: 'x' }, [1, [2, 3], 4])).toEqual([1, 2, 3, 4])
    expect(prepared({ op: 'concat', as: 'x', shape: [2, 2] }, [[1, 2, 3, 4]])).toEqual([1, 2, 3, 4])
    expect(() => prepared({ op: 'concat', as: 'x', shape: [2, 2] }, [[1, 2, 3]])).toThrow('wants 4 numbers')
  })

  it.each([
    [{ op: 'clip', min: 1 }, ['red'], 'preprocess[0].from'],
    [{ op: 'one_hot', categories: ['a'] }, [[1, 2]], 'preprocess[0].from'],
    [{ op: 'one_hot', categories: ['a', 'b'] }, [1], 'preprocess[0].categories[0]'],
    [{ op: 'scale', mean: [1, 2, 3], std: 1 }, [[1, 2]], 'preprocess[0].mean'],
    [{ op: 'clip', min: 2, max: 1 }, [1], 'preprocess[0].min'],
    [{ op: 'concat', as: 'x' }, [1, 'red'], 'preprocess[0].from[1]'],
  ] as [object, Value[], string][])('%j does not take %j', (step, values, param) => {
    expect(() => prepared(step, values)).toThrow(expect.objectContaining({ status: 400, param }))
  })
})

describe('after the models', () => {
  it('softmax: of great numbers too', () => {
    const powers = [Math.E, 1, 1 / Math.E]
    const sum = powers.reduce((a, b) => a + b)
    expect(shaped({ op: 'softmax' }, [1, 0, -1])).toEqual(near(powers.map((power) => power / sum)))
    expect(shaped({ op: 'softmax' }, [1_000, 1_000])).toEqual([0.5, 0.5])
  })

  it('sigmoid', () => {
    expect(shaped({ op: 'sigmoid' }, 0)).toBe(0.5)
    expect(shaped({ op: 'sigmoid' }, [Math.log(3), -Math.log(3)])).toEqual(near([0.75, 0.25]))
  })

  it('round: half away from zero, as it is written', () => {
    expect(shaped({ op: 'round' }, [2.5, -2.5, 0.49])).toEqual([3, -3, 0])
    expect(shaped({ op: 'round', digits: 2 }, [1.005, 1 / 3, -1.275])).toEqual([1.01, 0.33, -1.28])
    expect(shaped({ op: 'round', digits: 3 }, [1e-9, 1e22, 12345.6789])).toEqual([0, 1e22, 12345.679])
  })

  it('pick: one, or several as a vector', () => {
    expect(shaped({ op: 'pick', index: 1 }, [4, 5, 6])).toBe(5)
    expect(shaped({ op: 'pick', index: [2, 0] }, [4, 5, 6])).toEqual([6, 4])
    expect(() => shaped({ op: 'pick', index: 3 }, [4, 5, 6])).toThrow('has 3 numbers')
  })

  it('argmax: the first of the greatest, or its label', () => {
    expect(shaped({ op: 'argmax' }, [1, 7, 7])).toBe(1)
    expect(shaped({ op: 'argmax', labels: ['a', 'b', 'c'] }, [-3, -2, -9])).toBe('b')
    expect(() => shaped({ op: 'argmax', labels: ['a'] }, [1, 2])).toThrow('labels')
  })

  it('threshold: true from there on, or labels', () => {
    expect([0.5, 0.49].map((x) => shaped({ op: 'threshold', value: 0.5 }, x))).toEqual([true, false])
    expect(shaped({ op: 'threshold', value: 0.5, labels: ['calm', 'odd'] }, 0.7)).toBe('odd')
    expect(() => shaped({ op: 'threshold', value: 0.5 }, [1, 2])).toThrow('pick')
  })
})
