import { expect, it } from 'vitest'
import { HubError } from '../../../shared/errors.ts'
import { assembleResponse, toResponse } from '../../../shared/responses/response-assembly.ts'

function begin() {
  const told: { type: string; [field: string]: unknown }[] = []
  const response = toResponse('resp_a_b', { model: 'asked' }, 1_000)
  const assembly = assembleResponse(response, (type, fields) =>
    told.push({ type, ...structuredClone(fields) }),
  )
  const push = (delta: object, more: object = {}) =>
    assembly.push(JSON.stringify({ choices: [{ index: 0, delta, ...more }] }))
  return { response, told, assembly, push }
}

it('calls that are told one after another, numbered or not, with names that come again', () => {
  for (const numbered of [true, false]) {
    const { response, assembly, push } = begin()
    for (const [at, id] of ['one', 'two'].entries()) {
      const index = numbered ? { index: at } : {}
      push({ tool_calls: [{ ...index, id, function: { name: 'f', arguments: '{"a"' } }] })
      push({ tool_calls: [{ ...index, id, function: { name: 'f', arguments: ':1' } }] })
      push({ tool_calls: [{ ...index, function: { arguments: '}' } }] })
    }
    assembly.end(2_000)
    expect(response.output).toMatchObject([
      { id: 'fc_a_b_0', call_id: 'one', name: 'f', arguments: '{"a":1}' },
      { id: 'fc_a_b_1', call_id: 'two', name: 'f', arguments: '{"a":1}' },
    ])
  }
})

it('a call without an id gets one; text after it is a message of its own', () => {
  const { response, assembly, push } = begin()
  push({ tool_calls: [{ index: 0, function: { name: 'f', arguments: '{}' } }] })
  push({ content: 'Calling.' })
  assembly.end(2_000)
  expect(response.output).toMatchObject([
    { type: 'function_call', call_id: 'call_a_b_0' },
    { type: 'message', id: 'msg_a_b_1', content: [{ text: 'Calling.' }] },
  ])
})

it('log probabilities go with their text', () => {
  const { response, told, assembly, push } = begin()
  const logprob = { token: 'Hi', logprob: -0.1, bytes: [72, 105], top_logprobs: [] }
  push({ content: 'Hi' }, { logprobs: { content: [logprob] } })
  assembly.end(2_000)
  expect(told.find(({ type }) => type === 'response.output_text.delta')?.logprobs).toEqual([logprob])
  expect(response.output).toMatchObject([{ content: [{ logprobs: [logprob] }] }])
})

it('an empty answer is a message with an empty text, and other choices are left out', () => {
  const { response, told, assembly } = begin()
  assembly.push(JSON.stringify({ model: 'answered', choices: [{ index: 1, delta: { content: 'other' } }] }))
  assembly.end(2_500)
  expect(response).toMatchObject({
    ...{ model: 'answered', status: 'completed', completed_at: 2 },
    output: [{ type: 'message', content: [{ type: 'output_text', text: '' }] }],
  })
  expect(told[0]).toMatchObject({ type: 'response.created', response: { status: 'in_progress' } })
})

it('what breaks off leaves its items incomplete', () => {
  const { response, told, assembly, push } = begin()
  push({ content: 'Half' })
  assembly.fail(new HubError({ code: 'stream_interrupted', status: 502, message: 'Broken.' }))
  expect(response).toMatchObject({ status: 'failed', output: [{ status: 'incomplete' }] })
  expect(told.slice(-2).map(({ type }) => type)).toEqual(['error', 'response.failed'])
})
