import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { probe, type RedisServer } from './redis-server.ts'
import { run } from './run-command.ts'

// Debian 13's redis-server and every library it loads, libc included, so that it runs on older releases.
const packages =
  `redis-server redis-tools libc6 libssl3t64 libjemalloc2 liblzf1 libstdc++6 libgcc-s1 libatomic1
  libsystemd0 libcap2 libzstd1 zlib1g liblua5.1-0 lua-cjson lua-bitop`.split(/\s+/)

/**
 * Fetches Debian 13's Redis into `directory` from the archive this machine's apt already uses, without root and
 * without touching apt's own state. It appears by one rename: a fetch that is killed, or runs twice at once, harms
 * nothing.
 */
export async function fetchRedis(directory: string, report: (line: string) => void): Promise<RedisServer> {
  const begun = performance.now()
  const site = await debianArchive()
  const keyring = ['gpg', 'pgp']
    .map((end) => `/usr/share/keyrings/debian-archive-keyring.${end}`)
    .find(existsSync)
  if (!keyring) throw new Error('debian-archive-keyring is missing: Redis was not fetched unverified')
  report('Fetching Redis 8 from your Debian archive (about 20 MB, once)')

  await mkdir(directory, { recursive: true })
  await removeAbandoned(directory)
  const work = await mkdtemp(join(directory, 'fetching-'))
  try {
    const root = join(work, 'root')
    await mkdir(join(work, 'lists'))
    await mkdir(root)
    await writeFile(join(work, 'status'), '')
    await writeFile(
      join(work, 'sources.list'),
      `deb [signed-by=${keyring} target=Packages] ${site} trixie main\n`,
    )
    await writeFile(join(work, 'apt.conf'), aptConfiguration(work))
    const apt = async (...args: string[]) => {
      const printed = await run('apt-get', ['-c', join(work, 'apt.conf'), ...args], {
        timeoutMs: 300_000,
        cwd: work,
      })
      return /^Fetched .*/m.exec(printed)?.[0] ?? ''
    }
    report(`  package list: ${await apt('update')}`)
    report(`  packages: ${await apt('download', ...packages)}`)
    for (const file of await readdir(work))
      if (file.endsWith('.deb')) await run('dpkg', ['-x', join(work, file), root], { timeoutMs: 60_000 })
    await rm(join(root, 'usr/share'), { recursive: true, force: true })

    const { version } = await probeUnpacked(root)
    await rename(root, home(directory)).catch((error: NodeJS.ErrnoException) => {
      // Another process was quicker: its copy is as good.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
    report(`  Redis ${version} is in ${directory} after ${((performance.now() - begun) / 1000).toFixed(1)} s`)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return probeUnpacked(home(directory))
}

/** What an earlier fetch left in `directory`, if it runs. */
export const fetchedRedis = (directory: string): Promise<RedisServer | undefined> =>
  probeUnpacked(home(directory)).catch(() => undefined)

// A checkout can be shared by machines of two architectures.
const home = (directory: string) => join(directory, `debian-13-${process.arch}`)

/** Launches through the folder's own loader: this machine's libc may be older than the binary needs. */
async function probeUnpacked(root: string): Promise<RedisServer> {
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
  const libraries = join(root, 'usr/lib', triplet)
  const loader = (await readdir(libraries)).find((file) => file.startsWith('ld-linux'))
  if (!loader) throw new Error(`no loader in ${libraries}`)
  return probe(join(libraries, loader), ['--library-path', libraries, join(root, 'usr/bin/redis-server')])
}

async function debianArchive(): Promise<string> {
  const targets = await run('apt-get', ['indextargets', '--format', '$(RELEASE) $(COMPONENT) $(SITE)'], {
    timeoutMs: 20_000,
  })
  // Other vendors' archives and the security archive carry no "trixie main".
  const debian = /^(?:bullseye|bookworm|trixie|forky|sid|oldstable|stable|testing|unstable) main (\S+)$/m
  const site = debian.exec(targets)?.[1]
  if (!site) throw new Error('apt knows no Debian archive')
  return site
}

// `#clear` drops the machine's own hooks around update, which would need root and touch its cache.
const aptConfiguration = (work: string) => `#clear APT::Update;
Dir::Etc::sourcelist "${work}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "${work}";
Dir::State::Lists "${work}/lists";
Dir::State::status "${work}/status";
Dir::Cache "${work}/cache";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
`

/** Folders of fetches that were killed; a younger one may still be at work. */
async function removeAbandoned(directory: string) {
  for (const name of await readdir(directory)) {
    if (!name.startsWith('fetching-')) continue
    const folder = join(directory, name)
    const ageMs = Date.now() - (await stat(folder).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs
    if (ageMs > 30 * 60_000) await rm(folder, { recursive: true, force: true })
  }
}
