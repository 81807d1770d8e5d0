import {
  type DebianPackages,
  fetchedPackages,
  fetchPackages,
  unpackedCommand,
} from '../debian/fetch-packages.ts'
import { probe, type RedisServer } from './redis-server.ts'

const packages =
  `redis-server redis-tools libc6 libssl3t64 libjemalloc2 liblzf1 libstdc++6 libgcc-s1 libatomic1
  libsystemd0 libcap2 libzstd1 zlib1g liblua5.1-0 lua-cjson lua-bitop`.split(/\s+/)

/** Fetches Debian 13's Redis into `directory`, where a Debian archive is known. */
export const fetchRedis = (directory: string, report: (line: string) => void): Promise<RedisServer> =>
  fetchPackages(redisIn(directory), report)

/** What an earlier fetch left in `directory`, if it runs. */
export const fetchedRedis = (directory: string): Promise<RedisServer | undefined> =>
  fetchedPackages(redisIn(directory))

const redisIn = (directory: string): DebianPackages<RedisServer> => ({
  label: 'Redis 8',
  packages,
  directory,
  async probe(root) {
    const { command, args } = await unpackedCommand(root, 'usr/bin/redis-server')
    return probe(command, args)
  },
})
