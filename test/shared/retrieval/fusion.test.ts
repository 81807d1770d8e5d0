import { describe, expect, it } from 'vitest'
import { fuse } from '../../../shared/retrieval/fusion.ts'

const hit = (documentId: string, score: number, version = 1) => ({ documentId, version, n: 0, score })
const names = (ranked: { documentId: string }[]) => ranked.map(({ documentId }) => documentId)

describe('fusion', () => {
  it('what both lists put first has 1, what they put last next to nothing', () => {
    const fused = fuse({ vector: [hit('a', 0.9), hit('b', 0.5)], text: [hit('a', 12), hit('c', 3)] })
    expect(names(fused)).toEqual(['a', 'c', 'b'])
    expect(fused.map(({ score }) => score)).toEqual([1, 0.7 / 4, 0].map((score) => expect.closeTo(score, 9)))
    expect(fused.map(({ similarity }) => similarity)).toEqual([0.9, undefined, 0.5])
  })

  it('the weight decides between the sides', () => {
    const lists = { vector: [hit('v', 0.9), hit('t', 0.1)], text: [hit('t', 5), hit('v', 1)] }
    expect(names(fuse(lists, 0.9))).toEqual(['v', 't'])
    expect(names(fuse(lists, 0.1))).toEqual(['t', 'v'])
    expect(names(fuse({ ...lists, text: [] }, 1))).toEqual(['v', 't'])
  })

  it('longer lists do not change the score of what was in both shorter ones', () => {
    const vector = Array.from({ length: 200 }, (_, i) => hit(`v${i}`, 0.9 - i / 300))
    const text = Array.from({ length: 200 }, (_, i) => hit(`v${(i * 7) % 200}`, 20 - i / 20))
    const scoresOf = (length: number) => {
      const fused = fuse({ vector: vector.slice(0, length), text: text.slice(0, length) })
      return new Map(fused.map(({ documentId, score }) => [documentId, score]))
    }
    const [short, long] = [scoresOf(50), scoresOf(200)]
    for (const id of ['v0', 'v7', 'v14', 'v49']) expect(long.get(id)).toBeCloseTo(short.get(id)!, 9)
  })

  it('one side may be empty, and versions of a document are different hits', () => {
    expect(fuse({ vector: [], text: [] })).toEqual([])
    expect(fuse({ vector: [hit('a', 0.2)], text: [] })[0]!.score).toBeCloseTo(0.3)
    expect(fuse({ vector: [hit('a', 0.9, 1)], text: [hit('a', 9, 2)] })).toHaveLength(2)
  })
})
