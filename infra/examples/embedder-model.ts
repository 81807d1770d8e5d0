import { buildDense } from './dense-model.ts'
import { normal, seeded } from './random.ts'

const PLACES = 2_048
const LENGTH = 256

/**
 * Makes vectors of texts' hashed n-grams by a random projection, which keeps their angles to about 1/√256 (Johnson and Lindenstrauss, 1984):
 * near are texts that share words and pieces of words. It knows nothing of what words mean.
 */
export function buildEmbedder(seed: number): Uint8Array {
  const random = seeded(seed)
  const weights = Float32Array.from({ length: PLACES * LENGTH }, () => normal(random) / Math.sqrt(LENGTH))
  // Of a text without a word it makes no zero, which has no direction.
  const bias = new Float32Array(LENGTH).fill(1e-3 / Math.sqrt(LENGTH))
  return buildDense([{ weights, bias }])
}

/** Questions with the passage that answers each, to tell how good an embedder is at finding it. */
export const QUESTIONS: readonly (readonly [question: string, passage: string])[] = [
  [
    'How do I reset my password?',
    'To reset a forgotten password, open the login page and choose “Forgot password”.',
  ],
  ['Where can I downlod my invoices?', 'Invoices can be downloaded as PDF files under Billing, Documents.'],
  ['Can I get my money back?', 'Refunds are paid to the card within ten days of the return.'],
  ['shipping times to Norway', 'Parcels to Norway and Sweden take four to six working days to ship.'],
  ['How long is the warranty?', 'The manufacturer’s warranty lasts for two years from the date of purchase.'],
  [
    'The app crashes when it starts',
    'If the application stops right after launch, clear its cache and install it anew.',
  ],
  ['change the language', 'The interface’s language is set under Settings, Region and language.'],
  [
    'Which browsers are supported?',
    'We support the two latest versions of Firefox, Chrome, Safari and Edge.',
  ],
  ['delete my account', 'An account can be deleted for good under Settings, Privacy.'],
  ['My parcel arrived broken', 'Report damage in transit within a week, with a photo of the package.'],
  ['two factor authentication', 'Two-factor authentication asks for a code from your phone at each login.'],
  [
    'Do you have a student discount?',
    'Students and teachers pay half the price with a valid university card.',
  ],
  ['How can I contact support?', 'Our support team answers by e-mail and chat on weekdays from 8 to 18 h.'],
  ['export all data', 'All of your data can be exported as CSV or JSON from the dashboard.'],
  ['Is there an API limit?', 'The API takes 600 requests a minute for each key; beyond that it answers 429.'],
  ['upgrade to a bigger plan', 'Plans can be upgraded at any time; the difference is charged by the day.'],
  ['Who can see my documents?', 'Documents are private unless you share them with members of the workspace.'],
  ['wash the jacket', 'Wash the jacket at 30 °C, inside out, and do not tumble dry it.'],
  ['What is the weight of the bicycle?', 'The bicycle weighs 11.4 kg without pedals.'],
  ['battery runtime', 'One charge of the battery lasts for about nine hours of video.'],
]
