import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'

/** BullMQ on the same Redis, over the client that it is made for. */
export function startBull(url: string) {
  const connect = () => new Redis(url, { maxRetriesPerRequest: null })
  const connection = connect()
  const queue = new Queue('bench', { connection })

  return {
    /** Jobs added a second, one call each, so many at a time. */
    async add(jobs: readonly object[], flying: number): Promise<number> {
      const began = performance.now()
      let next = 0
      await Promise.all(
        Array.from({ length: flying }, async () => {
          while (next < jobs.length) await queue.add('event', jobs[next++])
        }),
      )
      return jobs.length / ((performance.now() - began) / 1_000)
    },
    /** Jobs added a second, so many a call. */
    async addBulk(jobs: readonly object[], size: number): Promise<number> {
      const began = performance.now()
      for (let i = 0; i < jobs.length; i += size)
        await queue.addBulk(jobs.slice(i, i + size).map((data) => ({ name: 'event', data })))
      return jobs.length / ((performance.now() - began) / 1_000)
    },
    /** Jobs worked on a second; each one's result is kept. */
    async consume(count: number, concurrency: number): Promise<number> {
      const began = performance.now()
      let done = 0
      const own = connect()
      const worker = new Worker('bench', async (job) => job.data, { connection: own, concurrency })
      await new Promise<void>((resolve) => {
        worker.on('completed', () => {
          if (++done === count) resolve()
        })
      })
      const seconds = (performance.now() - began) / 1_000
      await worker.close()
      own.disconnect()
      return count / seconds
    },
    reset: () => queue.obliterate({ force: true }),
    async [Symbol.asyncDispose]() {
      await queue.close()
      connection.disconnect()
    },
  }
}
