import type { ChunkRef, Hit } from '../ports/vectors.ts'

export interface Ranked extends ChunkRef {
  /** Of meaning within its list; fused ones from 0 to 1. */
  score: number
  /** Where it is known. */
  similarity?: number
}

/** How two lists become one: what `explain` tells. */
export const FUSION = {
  method: 'reciprocal_rank',
  /** Of Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods" (SIGIR 2009). */
  k: 60,
  /** `npm run bench -- retrieval` measures them. */
  weights: { vector: 1, text: 1 },
} as const

/**
 * Reciprocal rank fusion: Σ weight / (k + rank), ranks from 1, over the best that there can be. Ranks are compared, as scores of
 * two kinds cannot be.
 */
export function fuse(lists: { vector: readonly Hit[]; text: readonly Hit[] }): Ranked[] {
  const { k, weights } = FUSION
  const best = (weights.vector + weights.text) / (k + 1)
  const ranked = new Map<string, Ranked>()
  for (const side of ['vector', 'text'] as const) {
    for (const [at, { score, ...ref }] of lists[side].entries()) {
      const key = chunkKey(ref)
      const one = ranked.get(key) ?? { ...ref, score: 0 }
      one.score += weights[side] / (k + at + 1) / best
      if (side === 'vector') one.similarity = score
      ranked.set(key, one)
    }
  }
  // Where both sides say the same, the order must not be chance.
  return [...ranked.values()].sort((a, b) => b.score - a.score || (chunkKey(a) < chunkKey(b) ? -1 : 1))
}

const chunkKey = ({ documentId, version, n }: ChunkRef) => JSON.stringify([documentId, version, n])
