import { expect, it } from 'vitest'
import { diagnose } from '../../infra/doctor/diagnose.ts'
import { until } from '../support/hub.ts'
import { startTestCluster, startTestSentinel } from '../support/topologies.ts'

const of = async (REDIS_URL: string, check: string) =>
  (await diagnose({ PORT: '0', REDIS_URL })).filter((finding) => finding.check === check)

it('the doctor sees whether sentinels can put another primary in place', { timeout: 60_000 }, async () => {
  await using topology = await startTestSentinel()
  expect(await of(topology.url, 'Redis writes')).toMatchObject([{ level: 'ok' }])
  await until('all is well', async () => {
    const [finding] = await of(topology.url, 'Redis sentinels')
    return finding?.level === 'ok' && finding.message === '3 answer; the primary has 2 replicas.'
  })
  await Promise.all(topology.sentinels.slice(1).map((sentinel) => sentinel.kill()))
  const [silent] = await of(topology.url, 'Redis sentinels')
  expect(silent).toMatchObject({
    level: 'fault',
    message: expect.stringContaining('do not answer'),
    cure: expect.stringContaining('sentinels'),
  })
})

it('the doctor sees primaries of a Cluster that nobody can replace', { timeout: 60_000 }, async () => {
  await using topology = await startTestCluster()
  await until('all is well', async () => {
    const [finding] = await of(topology.url, 'Redis cluster')
    return finding?.message === '3 primaries, each with a replica.'
  })
  expect(await of(topology.url, 'Redis writes')).toMatchObject([{ level: 'ok' }])
  const replica = (await topology.roles()).find(({ role }) => role === 'replica')!
  await replica.node.kill()
  await until('it is said', async () => {
    const [finding] = await of(topology.url, 'Redis cluster')
    return finding?.level === 'warning' && finding.message.startsWith('1 of 3 primaries')
  })
})
