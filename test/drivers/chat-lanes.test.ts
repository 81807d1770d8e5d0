import { expect, it } from 'vitest'
import { createChatLanes } from '../../shared/drivers/chat-lanes.ts'
import { startProvider } from '../support/provider.ts'

const request = { model: 'x', messages: [{ role: 'user', content: 'Hi' }] }

it('another credential goes out alone: not with the organisation of the environment’s own', async () => {
  const provider = await startProvider()
  const env = { OPENAI_API_KEY: 'sk-env', OPENAI_BASE_URL: provider.url, OPENAI_ORG_ID: 'org-env' }
  const laneOf = createChatLanes({ env })
  for (const lane of [laneOf({ provider: 'openai' }), laneOf({ provider: 'openai', apiKey: 'sk-own' })]) {
    for await (const _ of lane.call(lane.resolve('m'), request, { signal: new AbortController().signal }));
  }
  const sent = provider.requests.map(({ headers }) => [headers.authorization, headers['openai-organization']])
  expect(sent).toEqual([
    ['Bearer sk-env', 'org-env'],
    ['Bearer sk-own', undefined],
  ])
  expect(laneOf({ provider: 'openai', apiKey: 'sk-own' }).resolve('m').scope).not.toBe(
    laneOf({ provider: 'openai' }).resolve('m').scope,
  )
  await provider.close()
})

it('a refused credential is told by its name, without its value', async () => {
  const provider = await startProvider({ status: 401 })
  const laneOf = createChatLanes({ env: { OPENAI_BASE_URL: provider.url } })
  const lane = laneOf({ provider: 'openai', apiKey: 'sk-own', keyName: 'the credential openai/main' })
  const calling = async () => {
    for await (const _ of lane.call(lane.resolve('m'), request, { signal: new AbortController().signal }));
  }
  await expect(calling()).rejects.toMatchObject({
    code: 'provider_authentication_failed',
    message: expect.stringContaining('the credential openai/main'),
  })
  await provider.close()
})
