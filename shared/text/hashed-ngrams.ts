/**
 * A text as so many numbers, of length one: words, pairs of words, and pieces of three letters, each counted (as 1 + ln count) in the place
 * that its hash leads to, with its hash's sign, so that what meets there by chance cancels out (Weinberger et al., 2009).
 */
export function hashedNgrams(text: string, places: number): { vector: Float32Array; words: number } {
  const counts = new Map<string, number>()
  const count = (gram: string) => counts.set(gram, (counts.get(gram) ?? 0) + 1)
  let before = ''
  let words = 0
  for (const [word] of text
    .normalize('NFKC')
    .toLowerCase()
    .matchAll(/[\p{L}\p{N}]+/gu)) {
    words++
    count(`w ${word}`)
    if (before) count(`p ${before} ${word}`)
    const bounded = `^${word}$`
    for (let at = 0; at + 3 <= bounded.length; at++) count(bounded.slice(at, at + 3))
    before = word
  }
  const vector = new Float32Array(places)
  for (const [gram, times] of counts) {
    const hash = hash32(gram)
    vector[(hash >>> 1) % places]! += (hash & 1 ? 1 : -1) * (1 + Math.log(times))
  }
  const length = Math.hypot(...vector)
  return { vector: length > 0 ? vector.map((value) => value / length) : vector, words }
}

/** FNV-1a over UTF-16, its bits mixed as MurmurHash3 ends. */
function hash32(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
