import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type DebianPackages, fetchedPackages, fetchPackages } from '../../infra/debian/fetch-packages.ts'
import { run } from '../../infra/debian/run-command.ts'
import type { RedisServer } from '../../infra/local-redis/redis-server.ts'

const common = `redis-server redis-tools libatomic1 libc6 libgcc-s1 libgcrypt20 libgpg-error0 libjemalloc2 liblua5.1-0
  liblz4-1 liblzf1 liblzma5 libstdc++6 libsystemd0 libzstd1 lua-bitop lua-cjson zlib1g libcap2`

/** Debian's releases that have them. */
const RELEASES = {
  6: { release: 'bullseye', packages: `${common} libssl1.1 libhiredis0.14` },
  7: { release: 'bookworm', packages: `${common} libssl3 libhiredis0.14` },
}

/** A real Redis 6 or 7, fetched once from an older Debian. */
export async function findOldRedis(major: keyof typeof RELEASES): Promise<RedisServer> {
  const { release, packages } = RELEASES[major]
  const wanted: DebianPackages<RedisServer> = {
    label: `Redis ${major}`,
    packages: packages.split(/\s+/),
    directory: new URL('../../.redis', import.meta.url).pathname,
    release,
    probe: (root) => probe(root, major),
  }
  return (await fetchedPackages(wanted)) ?? fetchPackages(wanted, console.log)
}

async function probe(root: string, major: number): Promise<RedisServer> {
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
  // These releases kept libraries in two places.
  const libraries = ['lib', 'usr/lib'].map((folder) => join(root, folder, triplet)).filter(existsSync)
  const loaders = await Promise.all(
    libraries.map(async (folder) => (await readdir(folder)).map((file) => join(folder, file))),
  )
  const command = loaders.flat().find((file) => /\/ld-linux[^/]*$/.test(file))
  if (!command) throw new Error(`no loader in ${libraries.join(', ')}`)
  const args = ['--library-path', libraries.join(':'), join(root, 'usr/bin/redis-server')]
  const printed = await run(command, [...args, '--version'], { timeoutMs: 10_000 })
  const version = /v=(\d\S+)/.exec(printed)?.[1] ?? printed.slice(0, 80)
  if (Number.parseInt(version, 10) !== major) throw new Error(`it is not Redis ${major} but ${version}`)
  return { command, args, version }
}
