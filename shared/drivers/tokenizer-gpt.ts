import type { CountTokens } from '../ports/chat.ts'

/**
 * Counts by gpt-tokenizer's o200k encoding: exact for OpenAI's current models, close for others. 1 MB gzipped, so it is
 * loaded at the first use and only where there is room for it.
 */
export function createTokenizerGpt(): CountTokens {
  return async (text) => {
    const { countTokens } = await import('gpt-tokenizer/encoding/o200k_base')
    return countTokens(text)
  }
}
