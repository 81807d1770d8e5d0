/**
 * A process that sends readings into `events:sensor` at a steady rate, as many raw XADDs as are due each millisecond, and measures when
 * their results and alerts are told of. One question, one answer.
 */
import { createClient } from '@redis/client'
import { makeDevices } from '../../infra/examples/sensor.ts'
import { DEFAULT_TENANT, eventKeys, resultsChannel } from '../../shared/keys.ts'
import { median, percentile, round } from './statistics.ts'

interface SourceQuestion {
  redisUrl: string
  /** Events a second. */
  rate: number
  seconds: number
}

export interface SourceAnswer {
  sent: number
  results: number
  alerts: number
  /** From the first XADD to the last result. */
  seconds: number
  p50_ms: number
  p99_ms: number
  /** Of half the seconds the p99 was below this one: what else runs on a machine comes in bursts. */
  median_second_p99_ms: number
  longest_ms: number
  alert_p50_ms: number
  alert_p99_ms: number
  /** Of this process. */
  cpu_us: number
}

const DEVICES = 1_000
/** One reading in so many is within a fault. */
const FAULTY = 100
/** How long it waits for the last results. */
const PATIENCE_MS = 20_000

const readings = makeReadings()
const { events: KEY } = eventKeys(DEFAULT_TENANT, 'sensor')

process.on(
  'message',
  (question: SourceQuestion) => void run(question).then((answer) => process.send!(answer)),
)
process.on('disconnect', () => process.exit())

async function run({ redisUrl, rate, seconds }: SourceQuestion): Promise<SourceAnswer> {
  const count = rate * seconds
  const [sentAt, resultAfter] = [new Float64Array(count), new Float64Array(count)]
  const alertAfter: number[] = []
  const name = Date.now().toString(36)
  const client = await createClient({ url: redisUrl }).connect()
  const listener = await client.duplicate().connect()
  const placeOf = (id: string) => Number(id.startsWith(name) ? id.slice(name.length + 1) : Number.NaN)
  let [results, last] = [0, 0]
  await listener.subscribe(resultsChannel(DEFAULT_TENANT, 'sensor'), (message) => {
    const place = placeOf(JSON.parse(message).id)
    if (Number.isNaN(place) || resultAfter[place]! > 0) return
    last = performance.now()
    resultAfter[place] = last - sentAt[place]!
    results++
  })
  await listener.subscribe('alerts', (message) => {
    const place = placeOf(JSON.parse(message).data.result_id)
    if (!Number.isNaN(place)) alertAfter.push(performance.now() - sentAt[place]!)
  })

  const before = process.cpuUsage()
  const began = performance.now()
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.ceil(((performance.now() - began) / 1_000) * rate))
    const time = new Date().toISOString()
    for (; sent < due; sent++) {
      sentAt[sent] = performance.now()
      const { device, temperature, vibration } = readings[sent % readings.length]!
      const id = `${name}-${sent}`
      const data = `{"machine":"${device}","temperature":${temperature},"vibration":${vibration}}`
      const event = `{"specversion":"1.0","id":"${id}","source":"/bench","type":"reading","time":"${time}","subject":"${device}","datacontenttype":"application/json","data":${data}}`
      void client.sendCommand(['XADD', KEY, '*', 'event', event, 'result', id])
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  for (const until = performance.now() + PATIENCE_MS; results < count && performance.now() < until; )
    await new Promise((resolve) => setTimeout(resolve, 5))
  // The last ones' alerts come after their results.
  await new Promise((resolve) => setTimeout(resolve, 500))
  const { user, system } = process.cpuUsage(before)
  await Promise.all([client.close(), listener.close()])
  const waits = Array.from(resultAfter).filter((wait) => wait > 0)
  const ofSeconds = Array.from({ length: seconds }, (_, n) =>
    percentile(Array.from(resultAfter.subarray(n * rate, (n + 1) * rate)), 99),
  )
  return {
    ...{ sent: count, results, alerts: alertAfter.length, seconds: (last - began) / 1_000 },
    ...{ p50_ms: round(median(waits), 2), p99_ms: round(percentile(waits, 99), 2) },
    median_second_p99_ms: round(median(ofSeconds), 2),
    longest_ms: round(percentile(waits, 100), 1),
    alert_p50_ms: round(median(alertAfter), 2),
    alert_p99_ms: round(percentile(alertAfter, 99), 2),
    cpu_us: user + system,
  }
}

/** Of all machines in turn, few of them faulty. */
function makeReadings() {
  const devices = makeDevices(1, 0, DEVICES, 60)
  let faults = 0
  return Array.from({ length: 60 }, (_, n) => devices.map(({ readings }) => readings[n]!))
    .flat()
    .filter(({ fault }) => !fault || faults++ % Math.ceil(FAULTY / 7) === 0)
}
