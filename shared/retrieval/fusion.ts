import type { ChunkRef, Hit } from '../ports/vectors.ts'

export interface Ranked extends ChunkRef {
  /** Of meaning within its list; fused ones from 0 to 1. */
  score: number
  /** Where it is known. */
  similarity?: number
}

/**
 * What nearness counts, words count the rest. Of the half `tune` of `npm run bench -- retrieval`, with the embedded model: 0.3 was
 * best, 0.2 to 0.4 better than words alone; reciprocal ranks (k = 60, even weights) were worse than words alone.
 */
export const VECTOR_WEIGHT = 0.3

/** Similarity is measured from that of this rank on, which is taken for chance: the same for short and long lists. */
const CHANCE_RANK = 50

/**
 * Two lists as one, best first: weighted sum of scores, each brought to 0 to 1: words by the best hit's score, similarity between
 * that of the best and of the 50th hit. (Bruch, Gai, Ingber: "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS 2023.)
 */
export function fuse(
  lists: { vector: readonly Hit[]; text: readonly Hit[] },
  vectorWeight = VECTOR_WEIGHT,
): Ranked[] {
  const ranked = new Map<string, Ranked>()
  const one = (ref: ChunkRef) => {
    const key = chunkKey(ref)
    const known = ranked.get(key)
    if (known) return known
    const fresh: Ranked = { ...ref, score: 0 }
    ranked.set(key, fresh)
    return fresh
  }
  const near = lists.vector[0]?.score ?? 0
  const chance = lists.vector[Math.min(CHANCE_RANK, lists.vector.length) - 1]?.score ?? 0
  for (const { score, ...ref } of lists.vector) {
    const fused = one(ref)
    fused.score += vectorWeight * (near > chance ? Math.max(0, (score - chance) / (near - chance)) : 1)
    fused.similarity = score
  }
  const worded = lists.text[0]?.score ?? 0
  for (const { score, ...ref } of lists.text) {
    one(ref).score += (1 - vectorWeight) * (worded > 0 ? score / worded : 1)
  }
  // Where both say the same, the order must not be chance.
  return [...ranked.values()].sort(
    (a, b) =>
      b.score - a.score ||
      (b.similarity ?? -1) - (a.similarity ?? -1) ||
      (chunkKey(a) < chunkKey(b) ? -1 : 1),
  )
}

const chunkKey = ({ documentId, version, n }: ChunkRef) => JSON.stringify([documentId, version, n])
