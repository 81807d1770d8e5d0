import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createHubClient as createClient } from '../client/client.ts'
import { startShop } from '../examples/microservice.ts'
import type { ExampleCall } from './example.ts'

const PATIENCE_MS = 60_000

/** Two instances of a service, and a warehouse that fails for a while. */
export async function runMicroserviceExample({ hub: { base }, key, say, signal }: ExampleCall) {
  const warehouse = await startWarehouse()
  const ended = new AbortController()
  const hub = createClient({ baseUrl: base, key })
  const shops = await Promise.all(
    ['shop-1', 'shop-2'].map((instance) =>
      startShop({
        ...{ hub: createClient({ baseUrl: base, key }), instance, say, jobEveryMs: 200 },
        ...{ url: `http://127.0.0.1/${instance}`, warehouse: warehouse.url },
        signal: AbortSignal.any([signal, ended.signal]),
      }),
    ),
  )
  try {
    const { data } = await hub.call('GET /v1/services/{name}', { path: { name: 'shop' } })
    say(`Others find ${data.map(({ instance }) => instance).join(' and ')}.\n`)
    const markup = Math.ceil(Math.random() * 1e6)
    await hub.call('PUT /v1/config/{namespace}', { path: { namespace: 'shop' }, body: { markup } })
    await until('both follow the configuration', () => shops.every((shop) => shop.markup === markup))

    say('\nThe warehouse fails …')
    warehouse.works = false
    const asked = await ask(shops, 'breaker_open')
    const reached = warehouse.calls
    say(`  after ${reached} calls the breaker is open: ${asked - reached} others never went out.`)
    say('The warehouse works again …')
    warehouse.works = true
    await ask(shops, 'done')
    say(`  and ${warehouse.calls - reached} calls later it is asked as before.\n`)
    const { values } = await hub.call('GET /v1/config/{namespace}', { path: { namespace: 'shop-job' } })
    const runs = Number(values.run)
    say(`The job ran ${runs} times, one instance at a time.`)
    return { example: 'microservice', instances: data.length, markup, asked, reached, runs }
  } finally {
    ended.abort()
    await Promise.all(shops.map((shop) => shop.end()))
    await warehouse.close()
  }

  /** Both ask until one of them is told this. Returns how many questions that took. */
  async function ask(shops: { stock(): Promise<unknown> }[], wanted: string): Promise<number> {
    let asked = 0
    await until(`the shops are told ${wanted}`, async () => {
      asked += shops.length
      const told = await Promise.all(
        shops.map((shop) =>
          shop.stock().then(
            () => 'done',
            (error) => error.code,
          ),
        ),
      )
      return told.includes(wanted)
    })
    return asked
  }

  async function until(what: string, look: () => boolean | Promise<boolean>) {
    for (const end = Date.now() + PATIENCE_MS; !(await look()); await sleep(100, undefined, { signal }))
      if (Date.now() > end) throw new Error(`Waited in vain: ${what}`)
  }
}

async function startWarehouse() {
  const server = createServer((_, reply) => {
    warehouse.calls += 1
    reply.statusCode = warehouse.works ? 200 : 500
    reply.setHeader('content-type', 'application/json').end('{"apples":12}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const warehouse = {
    ...{ url: `http://127.0.0.1:${port}`, works: true, calls: 0 },
    close: () => new Promise((resolve) => server.close(resolve)),
  }
  return warehouse
}
