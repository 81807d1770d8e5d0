import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './run-command.ts'

export interface DebianPackages<T> {
  /** What it is to whoever waits for it, e.g. `Redis 8`. */
  label: string
  /** With every library that is loaded, libc included, so that it runs on older releases. */
  packages: readonly string[]
  /**
   * For programs that no loader but this machine's own may start: packages of the release that runs here, with all that they need
   * and it lacks. Else Debian 13's, and only those named.
   */
  forThisRelease?: boolean
  /** Folders of `usr/share` that it needs. */
  share?: readonly string[]
  /** Where it is kept; an absolute path. */
  directory: string
  /** Another one than Debian 13, `trixie`, for what is to be old. */
  release?: string
  /** Whether it runs: launches it from the unpacked root, throws when it does not. */
  probe(root: string): Promise<T>
}

/**
 * Fetches packages of Debian into `directory` from the archive this machine's apt already uses, without root and
 * without touching apt's own state. They appear by one rename: a fetch that is killed, or runs twice at once, harms
 * nothing.
 */
export async function fetchPackages<T>(
  {
    label,
    packages,
    forThisRelease = false,
    share = [],
    directory,
    release: wanted = 'trixie',
    probe,
  }: DebianPackages<T>,
  report: (line: string) => void,
): Promise<T> {
  const begun = performance.now()
  const { site, release } = await debianArchive()
  const keyring = ['gpg', 'pgp']
    .map((end) => `/usr/share/keyrings/debian-archive-keyring.${end}`)
    .find(existsSync)
  if (!keyring) throw new Error(`debian-archive-keyring is missing: ${label} was not fetched unverified`)
  report(`Fetching ${label} from your Debian archive (once)`)

  await mkdir(directory, { recursive: true })
  await removeAbandoned(directory)
  const work = await mkdtemp(join(directory, 'fetching-'))
  try {
    const root = join(work, 'root')
    await mkdir(join(work, 'lists'))
    await mkdir(join(work, 'cache/archives/partial'), { recursive: true })
    await mkdir(root)
    // What is installed here is not fetched again.
    if (forThisRelease) await copyFile('/var/lib/dpkg/status', join(work, 'status'))
    else await writeFile(join(work, 'status'), '')
    await writeFile(
      join(work, 'sources.list'),
      `deb [signed-by=${keyring} target=Packages] ${site} ${forThisRelease ? release : wanted} main\n`,
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
    const install = ['install', '--download-only', '--yes', '--no-install-recommends']
    report(`  packages: ${await apt(...(forThisRelease ? install : ['download']), ...packages)}`)
    for (const folder of [work, join(work, 'cache/archives')])
      for (const file of await readdir(folder))
        if (file.endsWith('.deb')) await run('dpkg', ['-x', join(folder, file), root], { timeoutMs: 120_000 })
    for (const name of await readdir(join(root, 'usr/share')))
      if (!share.includes(name)) await rm(join(root, 'usr/share', name), { recursive: true, force: true })

    await probe(root)
    await rename(root, home(directory, forThisRelease, wanted)).catch((error: NodeJS.ErrnoException) => {
      // Another process was quicker: its copy is as good.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
    report(`  ${label} is in ${directory} after ${((performance.now() - begun) / 1000).toFixed(1)} s`)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return probe(home(directory, forThisRelease, wanted))
}

/** What an earlier fetch left, if it runs. */
export const fetchedPackages = <T>(packages: DebianPackages<T>): Promise<T | undefined> =>
  packages.probe(home(packages.directory, packages.forThisRelease, packages.release)).catch(() => undefined)

/** Launches through the folder's own loader: this machine's libc may be older than the program needs. */
export async function unpackedCommand(
  root: string,
  program: string,
): Promise<{ command: string; args: string[] }> {
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
  const libraries = join(root, 'usr/lib', triplet)
  const loader = (await readdir(libraries)).find((file) => file.startsWith('ld-linux'))
  if (!loader) throw new Error(`no loader in ${libraries}`)
  return { command: join(libraries, loader), args: ['--library-path', libraries, join(root, program)] }
}

// A checkout can be shared by machines of two architectures.
const home = (directory: string, forThisRelease = false, release = 'trixie') =>
  join(directory, `debian-${forThisRelease ? 'here' : release === 'trixie' ? '13' : release}-${process.arch}`)

async function debianArchive() {
  const targets = await run('apt-get', ['indextargets', '--format', '$(RELEASE) $(COMPONENT) $(SITE)'], {
    timeoutMs: 20_000,
  })
  // Other vendors' archives and the security archive carry no "trixie main".
  const debian = /^(bullseye|bookworm|trixie|forky|sid|oldstable|stable|testing|unstable) main (\S+)$/m
  const [, release, site] = debian.exec(targets) ?? []
  if (!site) throw new Error('apt knows no Debian archive')
  return { site, release }
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
Debug::NoLocking "true";
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
