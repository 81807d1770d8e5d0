import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Embedder, EmbeddingTarget } from '../../shared/ports/embedder.ts'

export interface EmbedderUnderTest {
  embedder: Embedder
  /** As `resolve` takes it. */
  model: string
  close(): Promise<void>
}

export interface EmbedderTraits {
  /** What happens to another length than its own. */
  dimensions: 'made' | 'refused'
}

/**
 * What every driver of the embedder port must do.
 *
 * @example testEmbedder('embedder-local', async () => { … }, { dimensions: 'refused' })
 */
export function testEmbedder(
  name: string,
  start: () => Promise<EmbedderUnderTest>,
  { dimensions }: EmbedderTraits,
) {
  describe(name, () => {
    let subject: EmbedderUnderTest
    let target: EmbeddingTarget
    const signal = new AbortController().signal
    const embed = (texts: string[], more: { dimensions?: number } = {}) =>
      subject.embedder.embed(target, texts, { signal, ...more })

    beforeAll(async () => {
      subject = await start()
      target = subject.embedder.resolve(subject.model)
    })
    afterAll(() => subject?.close())

    test('a target says where it leads, and resolving it by its whole name leads there again', () => {
      expect(target).toMatchObject({ provider: expect.any(String), scope: expect.stringMatching(/./) })
      expect(target.batch.inputs).toBeGreaterThan(0)
      expect(subject.embedder.resolve(`${target.provider}/${target.model}`)).toEqual(target)
    })

    test('one vector a text, in order, all of the length that the target states', async () => {
      const texts = ['Redis keeps data in memory.', 'The cat sat on the mat.', 'Prices rose by two per cent.']
      const { vectors } = await embed(texts)
      const { vectors: reversed } = await embed(texts.toReversed())
      expect(vectors).toHaveLength(3)
      for (const [n, vector] of vectors.entries()) {
        expect(vector).toBeInstanceOf(Float32Array)
        expect(vector).toHaveLength(target.dimensions ?? vectors[0]!.length)
        expect(vector.every(Number.isFinite)).toBe(true)
        expect(cosine(vector, reversed[2 - n]!)).toBeCloseTo(1, 4)
      }
      expect(cosine(vectors[0]!, vectors[1]!)).toBeLessThan(0.9)
    })

    test('what means the same is nearer than what does not', async () => {
      const { vectors } = await embed([
        'How do I reset my password?',
        'How can I reset the password of my account?',
        'The mountains were covered in snow.',
      ])
      const [asked, alike, other] = vectors as [Float32Array, Float32Array, Float32Array]
      expect(cosine(asked, alike)).toBeGreaterThan(cosine(asked, other) + 0.1)
    })

    test('tokens are counted', async () => {
      const { tokens: few } = await embed(['one'])
      const { tokens: many } = await embed(['one two three four five six seven eight nine ten'])
      expect(few).toBeGreaterThan(0)
      expect(many).toBeGreaterThan(few!)
    })

    test('the largest batch that the target allows', async () => {
      const texts = Array.from({ length: target.batch.inputs }, (_, n) => `text number ${n}`)
      const { vectors } = await embed(texts)
      expect(vectors).toHaveLength(texts.length)
      const { vectors: alone } = await embed([texts.at(-1)!])
      expect(cosine(alone[0]!, vectors.at(-1)!)).toBeCloseTo(1, 4)
    })

    test('several calls at the same time get their own', async () => {
      const texts = ['a river', 'a stock exchange', 'a piano', 'a football match', 'a compiler']
      const answers = await Promise.all(texts.map((text) => embed([text])))
      const { vectors } = await embed(texts)
      answers.forEach((answer, n) => {
        expect(cosine(answer.vectors[0]!, vectors[n]!)).toBeCloseTo(1, 4)
      })
    })

    test('texts of any script, white space and lone surrogates do no harm', async () => {
      const { vectors } = await embed(['漢字', '😀😀😀', ' ', 'a\u0000b', 'a\ud800', 'naïve Ärger'])
      expect(vectors).toHaveLength(6)
      for (const vector of vectors) expect(vector.every(Number.isFinite)).toBe(true)
    })

    test(`another length is ${dimensions}`, async () => {
      const answer = embed(['a text'], { dimensions: 64 })
      if (dimensions === 'made') expect((await answer).vectors[0]).toHaveLength(64)
      else {
        await expect(answer).rejects.toMatchObject({
          status: 400,
          code: 'dimensions_not_supported',
          param: 'dimensions',
        })
      }
    })

    test('a call is left at once, and the next one is served', async () => {
      const leave = new AbortController()
      const reason = new Error('the caller left')
      const left = subject.embedder.embed(target, ['a text that nobody waits for'], { signal: leave.signal })
      leave.abort(reason)
      await expect(left).rejects.toBe(reason)
      const gone = subject.embedder.embed(target, ['a text'], { signal: AbortSignal.abort(reason) })
      await expect(gone).rejects.toBe(reason)
      expect((await embed(['a text'])).vectors).toHaveLength(1)
    })
  })
}

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const dot = (x: ArrayLike<number>, y: ArrayLike<number>) =>
    Array.from(x).reduce((sum, number, n) => sum + number * y[n]!, 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}
