import { describe, expect, it } from 'vitest'
import { answerFromSources } from '../../shared/drivers/local-answer.ts'
import { toAskMessages } from '../../shared/retrieval/ask-prompt.ts'

const sources = [
  'The cache keeps an answer for one hour. Streams are stored whole.',
  'A lock carries a fencing token, which only rises.\nA lock that is not renewed\nends after its time to live.',
]
const answer = (question: string) => answerFromSources(toAskMessages(question, [], sources).at(-1)!.content)

describe('the local model, given sources', () => {
  it('answers with the best sentence and its number, on one line', () => {
    expect(answer('How long does the cache keep an answer?')).toBe(
      'The cache keeps an answer for one hour. [1]',
    )
    expect(answer('When does a lock end?')).toBe(
      'A lock that is not renewed ends after its time to live. [2]',
    )
  })

  it('takes several where each says something more', () => {
    expect(answer('How long does the cache keep an answer, and what does a lock carry?')).toBe(
      'The cache keeps an answer for one hour. [1] A lock carries a fencing token, which only rises. [2]',
    )
  })

  it('prefers prose over code that holds the same words', () => {
    const code = `ask() { curl -s "$HUB/v1/ask" -d '{"question":"How long does the cache keep an answer"}' | jq .answer`
    const prompt = toAskMessages('How long does the cache keep an answer?', [], [code, ...sources])
    expect(answerFromSources(prompt.at(-1)!.content)).toBe('The cache keeps an answer for one hour. [2]')
  })

  it('says so where they do not hold the answer', () => {
    expect(answer('Who won the football match in Paris?')).toBe('This is not in these documents.')
  })

  it('leaves other prompts alone', () => {
    expect(answerFromSources('How long?')).toBeUndefined()
  })
})
