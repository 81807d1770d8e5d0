import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { nameOf, parseRedisUrl, type RedisUrl } from '../../shared/drivers/redis-resp-url.ts'
import { type Finding, fault, ok, warning } from './finding.ts'
import { readInfo } from './redis-info.ts'
import type { Store } from './stores.ts'

const SLOW = { timeoutMs: 5_000 }
const MAJORITY_CURE = 'Start the missing sentinels, or correct their addresses.'

/** The health of what stands around the primary: sentinels, shards, replicas. Nothing of a single server. */
export async function checkTopology(store: Store): Promise<Finding[]> {
  const parsed = parseRedisUrl(store.url)
  if (parsed?.topology === 'sentinel') return checkSentinels(store, parsed)
  if (parsed?.topology === 'cluster') return checkCluster(store)
  return []
}

async function checkSentinels({ label }: Store, { places, tls, sentinel }: RedisUrl): Promise<Finding[]> {
  const check = `${label} sentinels`
  const { name, username = '', password } = sentinel
  const login =
    password === undefined ? '' : `${encodeURIComponent(username)}:${encodeURIComponent(password)}@`
  const answers = await Promise.all(
    places.map(async (place) => {
      const redis = createRedisResp({ url: `${tls ? 'rediss' : 'redis'}://${login}${nameOf(place)}` })
      const commands = [
        ['SENTINEL', 'CKQUORUM', name],
        ['SENTINEL', 'MASTER', name],
      ] as const
      const replies = await redis.wave(commands, SLOW).catch(() => undefined)
      await redis.close()
      return { place, replies }
    }),
  )
  const findings: Finding[] = []
  const silent = answers.filter(({ replies }) => !replies).map(({ place }) => nameOf(place))
  if (silent.length > 0)
    findings.push(
      (silent.length * 2 >= places.length ? fault : warning)(
        check,
        `${silent.join(', ')} of ${places.length} do not answer.`,
        MAJORITY_CURE,
      ),
    )
  const answer = answers.find(({ replies }) => replies)?.replies
  if (!answer) return findings
  const [quorum, primary] = answer
  if (quorum instanceof Error)
    findings.push(fault(check, `No failover is possible: ${quorum.message}`, MAJORITY_CURE))
  const of = (field: string) =>
    Array.isArray(primary) ? Number(primary[primary.indexOf(field) + 1]) : Number.NaN
  if (of('num-slaves') === 0)
    findings.push(
      warning(check, 'The primary has no replica: nobody can take over.', 'Start a replica of it.'),
    )
  return findings.length
    ? findings
    : [ok(check, `${places.length} answer; the primary has ${of('num-slaves')} replicas.`)]
}

async function checkCluster({ redis, label }: Store): Promise<Finding[]> {
  const check = `${label} cluster`
  const nodes = await redis.nodes(SLOW)
  const infos = await Promise.all(
    nodes.map(
      async (near) =>
        (await redis.wave([['INFO', 'replication']], { ...SLOW, near }).catch(() => [null]))[0] ?? null,
    ),
  )
  const [text] = await redis.wave([['CLUSTER', 'INFO']], SLOW).catch(() => [null])
  const cluster = readInfo(text ?? null)
  if (cluster.get('cluster_state') === 'fail')
    return [
      fault(
        check,
        `It is down: ${16_384 - Number(cluster.get('cluster_slots_ok'))} slots are not served.`,
        'Bring the lost nodes back: `CLUSTER NODES` names them; `redis-cli --cluster fix` mends slots.',
      ),
    ]
  const bare = infos.filter((info) => readInfo(info).get('connected_slaves') === '0').length
  if (bare > 0)
    return [
      warning(
        check,
        `${bare} of ${nodes.length} primaries have no replica: their slots are lost with them.`,
        'Give each a replica: `redis-cli --cluster add-node --cluster-slave`.',
      ),
    ]
  return [ok(check, `${nodes.length} primaries, each with a replica.`)]
}
