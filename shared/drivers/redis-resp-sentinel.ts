import { type Client, createConnection } from './redis-resp-connection.ts'
import { AWAY, type Topology, type TopologyOptions } from './redis-resp-topology.ts'
import { nameOf, type Place, type RedisUrl } from './redis-resp-url.ts'

/** How long a sentinel may take to answer, and how often they are asked whether the primary is still the same. */
const ANSWER_MS = 2_000
const LOOK_MS = 1_000

type Ask = (command: string) => Promise<unknown>

interface Found {
  place: Place
  /** Rises with every failover. */
  epoch: number
}

/**
 * One primary and its replicas behind sentinels. Every connection asks the sentinels first, believes the latest failover that any of
 * them knows, and asks the server for its role before it is used: a primary that comes back after a failover is not taken for one.
 *
 * Source: the Sentinel client protocol, https://redis.io/docs/latest/develop/reference/sentinel-clients/
 */
export function createSentinel(url: RedisUrl, options: TopologyOptions): Topology {
  const { name, ...login } = url.sentinel
  const asked = url.places.map((place) =>
    createConnection({ silenceMs: options.silenceMs, tls: url.tls, login, database: 0, place: () => place }),
  )
  const common = { ...options, login: url.login, tls: url.tls, database: url.database }
  const primary = createConnection({ ...common, place: findPrimary, verify: mustBe('master') })
  const replica = createConnection({ ...common, place: findReplica })
  let timer: ReturnType<typeof setInterval> | undefined

  /** The answers of those sentinels that give one in time: at once when a majority has. Throws when none does. */
  async function askAll<T>(question: (ask: Ask) => Promise<T>): Promise<T[]> {
    const answers: T[] = []
    const errors: unknown[] = []
    const enough = Math.floor(asked.length / 2) + 1
    await new Promise<void>((resolve) => {
      // A process that was busy finds the timer due and the answers in its sockets at once: the answers go first.
      const timer = setTimeout(() => setImmediate(resolve), ANSWER_MS)
      const check = () => {
        if (answers.length < enough && answers.length + errors.length < asked.length) return
        clearTimeout(timer)
        resolve()
      }
      for (const sentinel of asked) {
        sentinel
          .open()
          .then((client) => question((command) => client.sendCommand(['SENTINEL', command, name])))
          .then(
            (answer) => answers.push(answer),
            (error) => errors.push(error),
          )
          .then(check)
      }
    })
    if (answers.length > 0) return answers
    const names = url.places.map(nameOf).join(', ')
    throw new Error(`no sentinel of ${names} tells where ${name} is: ${errors[0] ?? 'no answer in time'}`)
  }

  /**
   * While a failover goes on, the sentinel that leads it has its epoch and the old address in `MASTER`, so that the address comes from
   * the question that clients ask: after the epoch, or an old address could be taken for the new epoch's.
   */
  async function findLatest(): Promise<Found> {
    const found = await askAll(async (ask): Promise<Found> => {
      const [primary, address] = await Promise.all([ask('MASTER'), ask('GET-MASTER-ADDR-BY-NAME')])
      const [host, port] = address as [string, string]
      return { place: { host, port: Number(port) }, epoch: Number(toFields(primary)['config-epoch']) }
    })
    return found.reduce((latest, one) => (one.epoch > latest.epoch ? one : latest))
  }

  async function findPrimary(): Promise<Place> {
    watch()
    return (await findLatest()).place
  }

  async function findReplica(): Promise<Place> {
    const [answer] = await askAll((ask) => ask('REPLICAS'))
    const healthy = (answer as unknown[]).map(toFields).filter((fields) => {
      const isUp = !/s_down|o_down|disconnected/.test(fields.flags!)
      return isUp && fields['master-link-status'] === 'ok'
    })
    const chosen = healthy[Math.floor(Math.random() * healthy.length)]
    if (!chosen) throw new Error(`the sentinels know no healthy replica of ${name}`)
    return { host: chosen.ip!, port: Number(chosen.port) }
  }

  /** A primary that was cut off does not say so: whoever still reaches it must leave it. */
  function watch() {
    if (timer !== undefined) return
    timer = setInterval(async () => {
      const found = await findLatest().catch(() => undefined)
      const { place } = primary
      if (!found || !place || nameOf(found.place) === nameOf(place)) return
      primary.restart(`the sentinels made ${nameOf(found.place)} the primary`)
    }, LOOK_MS)
    timer.unref?.()
  }

  return {
    route(_, stale) {
      if (!stale) return primary
      if (replica.ready) return replica
      replica.open().catch(() => {}) // for the next one
      return primary
    },
    async locate() {},
    slots: false,
    redirect(message, from) {
      if (from === replica && /^(READONLY|LOADING|MASTERDOWN)\b/.test(message)) return { connection: primary }
      if (message.startsWith('READONLY')) {
        primary.restart('it is not the primary any more')
        return primary.unavailable()
      }
      return AWAY.test(message) ? from.unavailable(new Error(message)) : undefined
    },
    nodes: () => [''],
    subscriber: ({ prepare }) =>
      createConnection({ ...common, place: findPrimary, verify: mustBe('master'), prepare }),
    async close() {
      clearInterval(timer)
      await Promise.all([primary, replica, ...asked].map((connection) => connection.close()))
    },
  }
}

const mustBe = (role: string) => async (client: Client) => {
  const [is] = (await client.sendCommand(['ROLE'])) as unknown as string[]
  if (is !== role) throw new Error(`it is a ${is} and not the ${role}`)
}

function toFields(reply: unknown): Record<string, string> {
  const flat = reply as string[]
  return Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1]!]] : [])))
}
