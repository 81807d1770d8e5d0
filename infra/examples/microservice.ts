import type { HubClient } from '../client/client.ts'

export interface ShopOptions {
  hub: HubClient
  /** Of this process, e.g. its host name. */
  instance: string
  /** Where this instance can be reached. */
  url: string
  /** A service that may fail. */
  warehouse: string
  say: (line: string) => void
  jobEveryMs: number
  /** It deregisters, finishes what it does, and ends. */
  signal: AbortSignal
}

/** One instance of a service: others find it, its configuration follows the hub's, and it shares one job with the other instances. */
export async function startShop({ hub, instance, url, warehouse, say, jobEveryMs, signal }: ShopOptions) {
  let markup = 0
  const heartbeat = await hub.heartbeat('shop', instance, { url, ttlSeconds: 10 })
  const work = Promise.all([followConfig(), repeatJob()])

  return {
    get markup() {
      return markup
    },

    /** Asks the warehouse, unless it has failed too often. */
    async stock(): Promise<unknown> {
      return hub.guarded('warehouse', async () => {
        const reply = await fetch(`${warehouse}/stock`, { signal: AbortSignal.timeout(2_000) })
        if (!reply.ok) throw new Error(`The warehouse answered ${reply.status}`)
        return reply.json()
      })
    },

    /** After the signal. */
    async end() {
      await work
      await heartbeat.close()
      await hub.settled()
    },
  }

  async function followConfig() {
    for await (const config of hub.watchConfig('shop', { signal })) {
      markup = Number(config?.values.markup ?? 0)
      say(`${instance}: version ${config?.version ?? 0} of the configuration: markup ${markup}`)
    }
  }

  /** What failed once is done the next time. */
  async function repeatJob() {
    while (!signal.aborted) {
      await runJob().catch((error) => signal.aborted || say(`${instance}: the job failed: ${error.message}`))
      await new Promise((resolve) => setTimeout(resolve, jobEveryMs))
    }
  }

  /** Counts its runs: under the lock each number is given once, and a holder that was paused too long cannot write an old one. */
  async function runJob() {
    const path = { namespace: 'shop-job' }
    await hub.lock('shop-job', { ttlSeconds: 5, waitSeconds: 5, owner: instance, signal }, async (lock) => {
      const last = await hub.call('GET /v1/config/{namespace}', { path, signal: lock.signal }).catch(orNone)
      const run = Number(last?.values.run ?? 0) + 1
      await lock.call('PUT /v1/config/{namespace}', { path, body: { run, by: instance } })
    })
  }
}

function orNone(error: { status?: number }): undefined {
  if (error.status !== 404) throw error
}
