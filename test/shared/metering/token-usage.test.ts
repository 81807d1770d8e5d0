import { describe, expect, it } from 'vitest'
import { costOf, estimateAtMost, readTokenUsage } from '../../../shared/metering/token-usage.ts'

// The documented shapes; the numbers are chosen so that every field counts.
const shapes: [string, object, object][] = [
  [
    'OpenAI chat completions',
    {
      prompt_tokens: 2006,
      completion_tokens: 300,
      total_tokens: 2306,
      prompt_tokens_details: { cached_tokens: 1920, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 128, accepted_prediction_tokens: 0 },
    },
    { input: 86, cachedRead: 1920, cacheWrite: 0, output: 300, reasoning: 128 },
  ],
  [
    'OpenAI responses',
    {
      input_tokens: 328,
      input_tokens_details: { cached_tokens: 300 },
      output_tokens: 52,
      output_tokens_details: { reasoning_tokens: 12 },
      total_tokens: 380,
    },
    { input: 28, cachedRead: 300, cacheWrite: 0, output: 52, reasoning: 12 },
  ],
  [
    'Anthropic messages',
    { input_tokens: 50, cache_creation_input_tokens: 248, cache_read_input_tokens: 1800, output_tokens: 503 },
    { input: 50, cachedRead: 1800, cacheWrite: 248, output: 503, reasoning: 0 },
  ],
  [
    'Cohere chat v2',
    {
      billed_units: { input_tokens: 5, output_tokens: 418 },
      tokens: { input_tokens: 71, output_tokens: 418 },
      cached_tokens: 0,
    },
    { input: 5, cachedRead: 0, cacheWrite: 0, output: 418, reasoning: 0 },
  ],
  [
    'Google generateContent',
    {
      usageMetadata: {
        promptTokenCount: 1000,
        cachedContentTokenCount: 600,
        candidatesTokenCount: 40,
        thoughtsTokenCount: 25,
        totalTokenCount: 1065,
      },
    },
    { input: 400, cachedRead: 600, cacheWrite: 0, output: 65, reasoning: 25 },
  ],
  [
    'Google in OpenAI’s shape: thoughts are in the total only',
    { prompt_tokens: 10, completion_tokens: 4, total_tokens: 34 },
    { input: 10, cachedRead: 0, cacheWrite: 0, output: 24, reasoning: 20 },
  ],
  [
    'DeepSeek',
    {
      prompt_tokens: 100,
      completion_tokens: 5,
      total_tokens: 105,
      prompt_cache_hit_tokens: 64,
      prompt_cache_miss_tokens: 36,
    },
    { input: 36, cachedRead: 64, cacheWrite: 0, output: 5, reasoning: 0 },
  ],
]

describe('a provider’s usage object', () => {
  it.each(shapes)('%s', (_, usage, expected) => {
    expect(readTokenUsage(usage)).toEqual({ ...expected, estimated: false })
  })

  it.each([[null], [undefined], ['x'], [{}], [{ prompt_tokens: 'many' }]])('%j is none', (usage) => {
    expect(readTokenUsage(usage)).toBeUndefined()
  })
})

describe('the cost', () => {
  const price = { input: 2, cached: 0.5, output: 8 }

  it.each([
    ['OpenAI chat completions', shapes[0]![1], (86 * 2 + 1920 * 0.5 + 300 * 8) / 1e6],
    ['Cohere chat v2', shapes[3]![1], (5 * 2 + 418 * 8) / 1e6],
    ['Google generateContent', shapes[4]![1], (400 * 2 + 600 * 0.5 + 65 * 8) / 1e6],
  ])('%s: cached tokens at their own rate', (_, usage, usd) => {
    expect(costOf(readTokenUsage(usage)!, price)).toBeCloseTo(usd, 12)
  })

  it('Anthropic messages: cache writes at theirs', () => {
    const usage = readTokenUsage(shapes[2]![1])!
    expect(costOf(usage, { ...price, cache_write: 2.5 })).toBeCloseTo(
      (50 * 2 + 1800 * 0.5 + 248 * 2.5 + 503 * 8) / 1e6,
      12,
    )
    expect(costOf(usage, price)).toBeCloseTo((50 * 2 + 1800 * 0.5 + 248 * 2 + 503 * 8) / 1e6, 12)
  })

  it('is nothing where no price is known', () => {
    expect(costOf(readTokenUsage(shapes[0]![1])!, undefined)).toBe(0)
  })
})

describe('the estimate before a call', () => {
  const messages = [{ role: 'user', content: 'The quick brown fox jumps over the lazy dog. '.repeat(20) }]

  it('is above what the prompt has (200 tokens by o200k), and takes the caller’s bound of the output', () => {
    const estimate = estimateAtMost({ model: 'm', messages, max_tokens: 50, n: 2 })
    expect(estimate.input).toBeGreaterThan(200)
    expect(estimate.input).toBeLessThan(600)
    expect(estimate.output).toBe(100)
  })

  it('takes a file by what is read of it, not by its bytes', () => {
    const estimate = (media: string) => {
      const url = `data:${media};base64,${'QUJD'.repeat(100_000)}`
      const image = { role: 'user', content: [{ type: 'image_url', image_url: { url } }] }
      return estimateAtMost({ model: 'm', messages: [image] }).input
    }
    expect(estimate('image/png')).toBeGreaterThan(1_600)
    expect(estimate('image/png')).toBeLessThan(3_000)
    expect(estimate('application/pdf')).toBeLessThan(40_000)
  })
})
