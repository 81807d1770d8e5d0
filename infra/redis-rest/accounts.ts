import { randomBytes } from 'node:crypto'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { nameOf, parseRedisUrl } from '../../shared/drivers/redis-resp-url.ts'
import { RedisReplyError, RedisUnavailableError } from '../../shared/errors.ts'
import type { Command, Reply } from '../../shared/ports/redis.ts'

export type Role = 'write' | 'read'

const USERS: Record<Role, string> = { write: 'hub-bridge', read: 'hub-bridge-ro' }

const RULES: Record<Role, string> = {
  // TIME is a script's clock, INFO tells how full the memory is, SELECT and CLIENT SETINFO are node-redis's greeting, ROLE,
  // CLUSTER SLOTS, ASKING and READONLY the driver's own behind Sentinel and on Cluster.
  // The categories hold XREAD to be blocking: the bridge itself refuses its BLOCK.
  write: `-@all +@read +@write +@pubsub +@scripting -@admin -@dangerous -@blocking -function -script|debug -script|kill
    +ping +echo +time +info +multi +exec +xread +xreadgroup +select +client|setinfo +role +cluster|slots +asking +readonly`,
  // Without EVAL: Redis would check each call of the script, but EVAL_RO says what is meant.
  read: `-@all +@read -@admin -@dangerous -@blocking +eval_ro +evalsha_ro +fcall_ro
    +subscribe +psubscribe +unsubscribe +punsubscribe
    +ping +echo +time +multi +exec +xread +select +client|setinfo +role +cluster|slots +asking +readonly`,
}

/** Commands of modules belong to no category that could be granted at once: vector sets, RediSearch, JSON, … */
const MODULE_COMMAND = /^(v[a-z]+|(ft|json|ts|bf|cf|cms|topk|tdigest)\._?[a-z]+)$/i
const MODULE_ADMIN = /\.(config|debug|profile)$/i

/**
 * The bridge's own users in Redis, which cannot run admin commands whatever a request asks. Without an ACL file they
 * vanish when Redis restarts, and a replica that becomes the primary never had them: `renew` creates them again with the
 * same passwords.
 */
export function createAccounts(options: { redisUrl: string; timeoutMs: number }) {
  // Kept in memory only. Several bridges share the users, and each adds a password of its own.
  const passwords: Record<Role, string> = { write: newPassword(), read: newPassword() }
  let ready: Promise<void> | undefined

  async function asAdmin(
    work: (admin: ReturnType<typeof createRedisResp>) => Promise<void>,
    url = options.redisUrl,
  ) {
    const admin = createRedisResp({ url })
    try {
      await work(admin)
    } finally {
      await admin.close()
    }
  }

  async function create() {
    await asAdmin(async (admin) => {
      const wait = { timeoutMs: options.timeoutMs }
      const [names] = ok(await admin.wave([['COMMAND', 'LIST']], wait)) as [string[]]
      const ofModules = names.filter((name) => MODULE_COMMAND.test(name) && !MODULE_ADMIN.test(name))
      const infos =
        ofModules.length > 0 ? ok(await admin.wave([['COMMAND', 'INFO', ...ofModules]], wait))[0] : []
      const allowed: Record<Role, string[]> = { write: [], read: [] }
      for (const info of infos as [name: string, arity: number, flags: string[]][]) {
        // V… also begins core commands of other Redis versions: only what a module brings is meant.
        if (!info?.[2].includes('module')) continue
        allowed.write.push(`+${info[0]}`)
        if (info[2].includes('readonly')) allowed.read.push(`+${info[0]}`)
      }
      const setUser = (role: Role): Command => {
        const identity = ['on', `>${passwords[role]}`, 'resetkeys', '~*', 'resetchannels', '&*']
        return ['ACL', 'SETUSER', USERS[role], ...identity, ...RULES[role].split(/\s+/), ...allowed[role]]
      }
      for (const near of await admin.nodes(wait)) {
        ok(await admin.wave([setUser('write'), setUser('read')], { ...wait, near }))
      }
      // A replica is asked too for where the others are.
      const onNode = (node: typeof admin) =>
        node.wave([setUser('write'), setUser('read')], wait).then(() => {})
      await Promise.all(clusterNodes(options.redisUrl).map((url) => asAdmin(onNode, url).catch(() => {})))
    })
  }

  return {
    /** Resolves when the users exist. */
    ready: () =>
      (ready ??= create().catch((error) => {
        ready = undefined
        throw new RedisUnavailableError(`The bridge could not create its users: ${error.message}`, {
          cause: error,
        })
      })),
    /** Redis refused a login: it forgot the users. */
    async renew() {
      ready = undefined
      await this.ready()
    },
    url(role: Role) {
      return options.redisUrl.replace(/:\/\/(?:[^@/]*@)?/, `://${USERS[role]}:${passwords[role]}@`)
    },
    /** Takes this bridge's passwords back. */
    async close() {
      if (!ready) return
      await asAdmin(async (admin) => {
        const forget = (role: Role) => ['ACL', 'SETUSER', USERS[role], `<${passwords[role]}`] as const
        for (const near of await admin.nodes()) await admin.wave([forget('write'), forget('read')], { near })
      }).catch(() => {})
    },
  }
}

/** Each node that the URL of a Cluster names, by itself. */
function clusterNodes(redisUrl: string): string[] {
  const parsed = parseRedisUrl(redisUrl)
  if (parsed?.topology !== 'cluster') return []
  const [, scheme, login = ''] = /^(rediss?)\+cluster:\/\/([^@]*@)?/.exec(redisUrl)!
  return parsed.places.map((place) => `${scheme}://${login}${nameOf(place)}`)
}

function newPassword() {
  return randomBytes(32).toString('base64url')
}

function ok(replies: Reply[]) {
  for (const reply of replies) if (reply instanceof RedisReplyError) throw reply
  return replies
}
