import { closeSync, constants, existsSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { run } from '../debian/run-command.ts'

export interface DataLock {
  /** A descriptor to hand to Redis and then close: as long as Redis holds it, no other start touches the data. */
  openForRedis(): number
  release(): void
}

/**
 * Gives one hub the data directory. Both halves are the kernel's, so nothing is stale after `kill -9`: SQLite's file
 * lock belongs to the hub and decides between two simultaneous starts; a FIFO that Redis holds open covers the
 * moments in which a dead hub's Redis still writes its last data.
 */
export async function lockData(directory: string): Promise<DataLock> {
  const database = new DatabaseSync(join(directory, 'lock'))
  const release = () => {
    if (database.isOpen) database.close()
  }
  try {
    database.exec('BEGIN EXCLUSIVE')
    const fifo = join(directory, 'redis-alive')
    if (!existsSync(fifo)) await run('mkfifo', ['-m', '600', fifo], { timeoutMs: 5_000 })
    // The guard kills a Redis that takes longer than 5 s to end.
    const deadline = Date.now() + 10_000
    while (isHeld(fifo)) {
      if (Date.now() > deadline) throw inUse(directory, 'The Redis of an earlier hub')
      await sleep(50)
    }
    return { openForRedis: () => openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK), release }
  } catch (error) {
    release()
    const SQLITE_BUSY = 5
    throw (error as { errcode?: number }).errcode === SQLITE_BUSY ? inUse(directory, 'Another hub') : error
  }
}

/** Opening the writing end without waiting fails (ENXIO) unless somebody has the reading end open. */
function isHeld(fifo: string): boolean {
  try {
    closeSync(openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK))
    return true
  } catch {
    return false
  }
}

const inUse = (directory: string, who: string) =>
  new Error(
    `${who} uses ${directory}. To share its Redis, set REDIS_URL to the address in ${directory}/redis-url`,
  )
