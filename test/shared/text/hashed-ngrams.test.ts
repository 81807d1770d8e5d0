import { expect, it } from 'vitest'
import { hashedNgrams } from '../../../shared/text/hashed-ngrams.ts'

const vectorOf = (text: string, places = 2_048) => hashedNgrams(text, places).vector
const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, n) => sum + value * b[n]!, 0)
const near = (a: string, b: string) => dot(vectorOf(a), vectorOf(b))

it('is of length one, the same for the same words, whatever case and form they have', () => {
  expect(dot(vectorOf('Redis keeps data'), vectorOf('redis  KEEPS, data!'))).toBeCloseTo(1, 5)
  expect(near('caf\u00e9', 'cafe\u0301')).toBeCloseTo(1, 5)
  expect(vectorOf('x', 16)).toHaveLength(16)
  expect(hashedNgrams('one two  three', 16).words).toBe(3)
})

it('holds a word alone, its three pieces and nothing else: four places of a half', () => {
  const values = vectorOf('abc').filter((value) => value !== 0)
  expect([...values].map(Math.abs)).toEqual([0.5, 0.5, 0.5, 0.5].map((value) => expect.closeTo(value, 6)))
})

it('is near for texts that share words or pieces of words, and not for others', () => {
  expect(near('download my invoices', 'downlod my invoice')).toBeGreaterThan(0.5)
  expect(near('the dog bites the man', 'the man bites the dog')).toBeLessThan(0.99)
  expect(Math.abs(near('quick brown fox', 'lazy jumping dogs'))).toBeLessThan(0.2)
})

it('is all zeros without a word', () => {
  expect(vectorOf(' …!').every((value) => value === 0)).toBe(true)
})
