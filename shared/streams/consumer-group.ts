import { createBell } from '../bell.ts'
import type { Clock } from '../ports/clock.ts'
import type { Redis } from '../ports/redis.ts'
import { send } from '../send.ts'
import { createDueTimes } from './due-times.ts'
import { compareIds, createGroupLedger, type GroupLedger } from './group-ledger.ts'
import {
  createGroupWorker,
  type GroupLog,
  type GroupWorker,
  type GroupWorkerOptions,
} from './group-worker.ts'

export interface ConsumerGroupOptions extends Pick<GroupWorkerOptions, 'handle' | 'onDead'> {
  redis: Redis
  /** A connection that nobody else uses, for reads that wait. Without it `run` looks when it is woken, and every 30 s. */
  blocking?: Redis
  stream: string
  group: string
  /** Unique among those that live: a process must not take a dead one's name. */
  consumer: string
  /**
   * Entries of one key are worked on one after the other, in the stream's order, in every process: the group then has one active
   * consumer, and the others stand by. Undefined where order does not matter: they all work.
   */
  keyOf?: GroupWorkerOptions['keyOf']
  /** Calls of the handler at the same time. Default 4. */
  concurrency?: number
  /** Entries that one call takes. Default 1. */
  batch?: number
  /** Entries in hand at the same time, those behind their key included. Default twice what is worked on; with keys 1,000. */
  prefetch?: number
  retry?: GroupWorkerOptions['retry']
  /** A consumer that said nothing for so long is dead. What takes longer is announced in between. Default 60,000. */
  claimIdleMs?: number
  /** How long processed entries stay readable, ms; default: they are removed. `forever`: somebody else trims. */
  keepMs?: number | 'forever'
  /** How long a stopping `run` lets its work end. Default 8,000. */
  stopMs?: number
  clock: Clock
  log: GroupLog
}

export interface DrainOptions {
  /** Unix ms: nothing begins after it, and what runs then is told to end. */
  untilMs: number
  /** Waves of reading, each for `concurrency` × `batch` entries: where the runtime counts calls. */
  rounds?: number
  signal?: AbortSignal
}

/**
 * A consumer of a Redis stream: at least once, whatever dies. Entries are acknowledged after their handler; failed ones wait for
 * another attempt and hold up nobody but their key; after the last one they go to `{<stream>}:dead`.
 */
export function createConsumerGroup(options: ConsumerGroupOptions) {
  const { redis, blocking, stream, group, consumer, keyOf, clock, log } = options
  const { concurrency = 4, batch = 1, retry = {}, claimIdleMs = 60_000, keepMs = 0, stopMs = 8_000 } = options
  const ledgerOf = (name: string) => createGroupLedger({ redis, stream, group, consumer: name })
  const ledger = ledgerOf(consumer)
  let drains = 0
  /** Of what failed here. */
  const dues = createDueTimes()
  const capacity = options.prefetch ?? Math.max(2 * concurrency * batch, keyOf ? 1_000 : 2)
  const leaseMs = Math.min(claimIdleMs, 15_000)
  const tendMs = Math.min(leaseMs / 3, 5_000)
  const called = createBell()

  const createWorker = (ledger: GroupLedger) =>
    createGroupWorker({
      ...{ ledger, dues, handle: options.handle, onDead: options.onDead, keyOf },
      ...{ concurrency, batch, retry, claimIdleMs, clock, log },
    })

  /** With the lease in hand: all that is pending is ours, in the stream's order. */
  async function adopt(ledger: GroupLedger, worker: GroupWorker) {
    const all = []
    for (;;) {
      const claimed = await ledger.claim(0, 1_000)
      if (claimed.length === 0) break
      all.push(...claimed)
    }
    for (const entry of await ledger.waiting()) worker.hold(entry)
    worker.accept(all.sort((a, b) => compareIds(a.id, b.id)))
  }

  /** Entries that may go where every group is done with them: all that came before, Unix ms. */
  const trimTo = () => (keepMs === 'forever' ? 0 : clock.now() - keepMs)

  /** Repeats `step` until the signal; while it fails, ever more slowly. */
  async function repeat(signal: AbortSignal, step: () => Promise<void>) {
    const pausing = createBell()
    for (let pause = 50; !signal.aborted; ) {
      try {
        await step()
        pause = 50
      } catch (error) {
        if (signal.aborted) return
        log.error({ msg: 'A consumer cannot go on', stream, group, cause: error })
        await pausing.sleep(pause, signal)
        pause = Math.min(pause * 2, 2_000)
      }
    }
  }

  /** Works until the signal, or until the lease is lost. */
  async function work(from: Redis, signal: AbortSignal) {
    const worker = createWorker(ledger)
    const lost = new AbortController()
    const over = AbortSignal.any([signal, lost.signal])
    over.addEventListener('abort', worker.pause, { once: true })
    let leasedAt = performance.now()
    let clientId: number | undefined
    let swept = Number.NEGATIVE_INFINITY
    let reading = true
    /** The reply to a read was lost: Redis may have given us what we do not know of. */
    let isReplyLost = false

    async function read() {
      // Before what comes after it.
      if (isReplyLost) worker.accept(await ledger.given(2 * capacity))
      isReplyLost = false
      const room = capacity - worker.size
      // A half at least: reading one entry at a time costs more than the entry.
      if (room < capacity / 2) return worker.bell.sleep(1_000, over)
      // Over the same connection, before the read that may have to be ended.
      const asked = send(from, ['CLIENT', 'ID'], { near: stream }).then((id) => {
        clientId = id as number
      })
      isReplyLost = true
      const [entries] = await Promise.all([ledger.read(from, room, BLOCK_MS), asked.catch(() => {})])
      isReplyLost = false
      worker.accept(entries)
    }

    async function unblock() {
      const pause = createBell()
      for (; reading; await pause.sleep(50)) {
        if (clientId !== undefined)
          await send(redis, ['CLIENT', 'UNBLOCK', clientId], { near: stream }).catch(() => {})
      }
    }

    /** Whatever must be done in time, whether entries come or not. */
    async function tend() {
      const now = performance.now()
      const isSweep = now - swept >= tendMs
      if (isSweep && keyOf) {
        try {
          if (!(await ledger.takeLease(leaseMs))) return lost.abort()
          leasedAt = now
        } catch (error) {
          if (performance.now() - leasedAt >= leaseMs) return lost.abort()
          throw error
        }
      }
      if (isSweep) await worker.keep()
      const room = capacity - worker.size
      if (room > 0) worker.accept(await ledger.claim(claimIdleMs, room))
      dues.pass(now)
      if (!isSweep) return
      if (keyOf) await worker.free()
      await ledger.trim(trimTo())
      swept = now
    }
    async function tending() {
      const timer = createBell()
      await repeat(over, async () => {
        await tend()
        const next = swept + tendMs
        while (!over.aborted) {
          const left = Math.min(next, dues.next + REDIS_ROUNDS_MS) - performance.now()
          if (left <= 0) return
          await timer.sleep(Math.min(left, DUE_LOOK_MS), over)
        }
      })
    }

    if (keyOf) await adopt(ledger, worker)
    const reader = repeat(over, read).finally(() => {
      reading = false
    })
    const stopped = new Promise<void>((resolve) => {
      over.addEventListener('abort', () => resolve(), { once: true })
      if (over.aborted) resolve()
    })
    await Promise.all([reader, tending(), stopped.then(unblock)])
    await end(ledger, worker, performance.now() + (lost.signal.aborted ? 0 : stopMs))
  }

  /** Lets what runs end, and leaves the rest to others. */
  async function end(ledger: GroupLedger, worker: GroupWorker, untilMs: number) {
    worker.pause()
    await worker.quiet(untilMs)
    worker.stop()
    try {
      await ledger.leave(trimTo())
      if (keyOf) await ledger.giveLease({ always: true })
    } catch (error) {
      log.error({
        msg: 'A consumer could not leave: others take over when it has been silent',
        stream,
        cause: error,
      })
    }
  }

  const api = {
    /** Makes the group where it is not there: from then on nothing that it has not read is trimmed. */
    create: ledger.create,

    /** Works until the signal aborts. Survives that Redis leaves, or forgets everything. */
    async run(signal: AbortSignal): Promise<void> {
      await repeat(signal, async () => {
        if (!blocking) {
          dues.pass(performance.now())
          await api.drain({ untilMs: clock.now() + 60_000, signal })
          const waitMs = dues.next - performance.now() + REDIS_ROUNDS_MS
          return called.sleep(Math.max(0, Math.min(waitMs, POLL_MS)), signal)
        }
        if (keyOf && !(await ledger.takeLease(leaseMs))) return called.sleep(leaseMs / 3, signal)
        await work(blocking, signal)
      })
    },

    /** There is something new: for a `run` without a connection that could wait for it. */
    wake: () => called.ring(),

    /** Works until nothing is left that is due, or until the time is up. */
    async drain({
      untilMs,
      rounds = Number.POSITIVE_INFINITY,
      signal,
    }: DrainOptions): Promise<{ settled: number }> {
      // A name of its own: several may drain in one process, and each leaves with its name.
      const ledger = ledgerOf(`${consumer}.${++drains}`)
      // Who holds the lease looks again before it leaves.
      if (keyOf && !(await ledger.takeLease(leaseMs))) return { settled: 0 }
      const worker = createWorker(ledger)
      const deadline = performance.now() + (untilMs - clock.now())
      const isOver = () => signal?.aborted || performance.now() >= deadline
      const keeping = setInterval(() => {
        if (keyOf) ledger.takeLease(leaseMs).catch(() => {})
        worker.keep().catch((error) => log.error({ msg: 'A consumer cannot go on', stream, cause: error }))
      }, tendMs)
      try {
        if (keyOf) await adopt(ledger, worker)
        for (let round = 0; round < rounds && !isOver(); round++) {
          const entries = await ledger.claimAndRead(claimIdleMs, concurrency * batch)
          // What is still in hand waits behind an entry of its key that is not due.
          const none = entries.length === 0 || worker.size > capacity
          if (none && (!keyOf || (await ledger.giveLease()))) break
          worker.accept(entries)
          await worker.quiet(deadline, signal)
        }
      } finally {
        clearInterval(keeping)
        await end(ledger, worker, 0)
      }
      return { settled: worker.settledCount }
    },
  }
  return api
}

export type ConsumerGroup = ReturnType<typeof createConsumerGroup>

/** Longest read without an answer: well below what the connection takes for a dead server. */
const BLOCK_MS = 4_000
/** How often a `run` that cannot wait looks by itself. */
const POLL_MS = 30_000
/** A due time may be as much later in Redis as here. */
const REDIS_ROUNDS_MS = 2
/** How late a retry may be noticed that began to wait meanwhile. */
const DUE_LOOK_MS = 250
