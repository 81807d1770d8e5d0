import type { Price } from '../ports/chat.ts'

/**
 * USD per million tokens at the standard tier for short prompts, as last seen on `priced`. Long prompts, batches and cache
 * writes cost otherwise: set `HUB_PROVIDERS` where that matters. Deployments of Azure are named by their owner, and
 * OpenRouter and Hugging Face route to changing sellers, so these have none.
 */
export const prices: Record<string, { priced: string; models: Record<string, Price> }> = {
  openai: {
    priced: '2026-10-27',
    models: {
      'gpt-6-astra': usd(10, 1, 50),
      'gpt-6.1-sol': usd(2, 0.1, 10),
      'gpt-6.1-terra': usd(1, 0.05, 5),
      'gpt-6-sol': usd(2, 0.2, 10),
      'gpt-6-luna': usd(0.1, 0.01, 0.5),
      'gpt-5.6-sol': usd(4, 0.4, 20),
      'gpt-5.6-terra': usd(2, 0.2, 12),
      'gpt-5.6-luna': usd(0.2, 0.02, 1.2),
      'gpt-5.5': usd(5, 0.5, 30),
      'gpt-5.4': usd(2.5, 0.25, 15),
      'gpt-5.4-mini': usd(0.75, 0.075, 4.5),
      'gpt-5.4-nano': usd(0.2, 0.02, 1.25),
      'gpt-5.2': usd(1.75, 0.175, 14),
      'gpt-5.1': usd(1.25, 0.125, 10),
      'gpt-5': usd(1.25, 0.125, 10),
      'gpt-5-mini': usd(0.25, 0.025, 2),
      'gpt-5-nano': usd(0.05, 0.005, 0.4),
      'gpt-4.1': usd(2, 0.5, 8),
      'gpt-4.1-mini': usd(0.4, 0.1, 1.6),
      'gpt-4.1-nano': usd(0.1, 0.025, 0.4),
      'gpt-4o': usd(2.5, 1.25, 10),
      'gpt-4o-2024-05-13': usd(5, 5, 15),
      'gpt-4o-mini': usd(0.15, 0.075, 0.6),
      o3: usd(2, 0.5, 8),
      'o4-mini': usd(1.1, 0.275, 4.4),
    },
  },
  anthropic: {
    priced: '2026-10-24',
    models: {
      'claude-fable-5-1': usd(10, 0.25, 50),
      'claude-fable-5': usd(10, 1, 50),
      'claude-opus-5-5': usd(4, 0.2, 20),
      'claude-opus-5': usd(5, 0.5, 25),
      'claude-opus-4-8': usd(5, 0.5, 25),
      'claude-opus-4-7': usd(5, 0.5, 25),
      'claude-opus-4-6': usd(5, 0.5, 25),
      'claude-opus-4-5': usd(5, 0.5, 25),
      'claude-sonnet-5-5': usd(2, 0.1, 10),
      'claude-sonnet-5': usd(2, 0.2, 10),
      'claude-sonnet-4-6': usd(3, 0.3, 15),
      'claude-sonnet-4-5': usd(3, 0.3, 15),
      'claude-haiku-5-5': usd(0.1, 0.01, 0.5),
      'claude-haiku-4-5': usd(1, 0.1, 5),
    },
  },
  cohere: {
    priced: '2026-06-30',
    models: {
      'command-a-03-2025': usd(2.5, 2.5, 10),
      'command-r-08-2024': usd(0.15, 0.15, 0.6),
      'command-r7b-12-2024': usd(0.0375, 0.0375, 0.15),
    },
  },
  google: {
    priced: '2026-10-07',
    models: {
      // Promised at this price to the end of 2026; twice as much after it.
      'gemini-3.8-flash': usd(0.75, 0.075, 3.75),
      'gemini-3.7-flash': usd(0.75, 0.075, 3.75),
      'gemini-3.5-flash': usd(1.5, 0.15, 9),
      'gemini-3.1-pro-preview': usd(2, 0.2, 12),
      'gemini-2.5-pro': usd(1.25, 0.125, 10),
      'gemini-2.5-flash': usd(0.3, 0.03, 2.5),
      'gemini-2.5-flash-lite': usd(0.1, 0.01, 0.4),
    },
  },
  groq: {
    priced: '2026-05-19',
    models: {
      'openai/gpt-oss-120b': usd(0.15, 0.15, 0.6),
      'openai/gpt-oss-20b': usd(0.075, 0.075, 0.3),
      'llama-3.3-70b-versatile': usd(0.59, 0.59, 0.79),
      'llama-3.1-8b-instant': usd(0.05, 0.05, 0.08),
    },
  },
  mistral: {
    priced: '2026-06-30',
    models: {
      'mistral-medium-3-5': usd(1.5, 1.5, 7.5),
      'mistral-medium-latest': usd(1.5, 1.5, 7.5),
    },
  },
  together: {
    priced: '2026-05-19',
    models: {
      'openai/gpt-oss-120b': usd(0.15, 0.15, 0.6),
      'meta-llama/Llama-3.3-70B-Instruct-Turbo': usd(0.88, 0.88, 0.88),
    },
  },
}

/** What is known of an embedding model. */
export interface EmbeddingModel {
  /** USD per million tokens. */
  price?: number
  /** Length of its vectors where none is asked for. */
  dimensions?: number
}

/** Embedding models, by provider; prices as looked up on 2026-11-23: OpenAI's on its own pages, the others' in catalogues. */
export const embeddingModels: Record<string, Record<string, EmbeddingModel>> = {
  openai: {
    'text-embedding-3-small': { price: 0.02, dimensions: 1536 },
    'text-embedding-3-large': { price: 0.13, dimensions: 3072 },
    'text-embedding-ada-002': { price: 0.1, dimensions: 1536 },
  },
  cohere: {
    'embed-v4.0': { price: 0.12, dimensions: 1536 },
    // No longer on the price list.
    'embed-english-v3.0': { dimensions: 1024 },
    'embed-multilingual-v3.0': { dimensions: 1024 },
    'embed-english-light-v3.0': { dimensions: 384 },
    'embed-multilingual-light-v3.0': { dimensions: 384 },
  },
  google: { 'gemini-embedding-001': { price: 0.15, dimensions: 3072 } },
  mistral: {
    'mistral-embed': { price: 0.1, dimensions: 1024 },
    'codestral-embed': { price: 0.15, dimensions: 1536 },
  },
}

/** Where no discount for cached input is known, cached input costs as much as other input. */
function usd(input: number, cached: number, output: number): Price {
  return { input, cached, output }
}
