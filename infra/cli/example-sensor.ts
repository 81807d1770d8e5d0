import { randomUUID } from 'node:crypto'
import { type Device, FEATURES, makeDevices, makeSensorModel, SCALES, WINDOW } from '../examples/sensor.ts'
import { percent, type Say, uploadModel } from './example-model.ts'
import type { HubClient } from './hub-client.ts'

/** Another one than that which the model is trained and measured on. */
const SHOWN = { seed: 2026, devices: 10, readings: 60 }
const WAIT_SECONDS = 30

/** Machines send readings; a pipeline on their stream tells the faulty ones; each is an alert. */
export async function runSensorExample(hub: HubClient, say: Say) {
  say('Training on made-up readings, which takes some seconds …')
  const { bytes, threshold, quality } = makeSensorModel()
  const { readings, precision, recall, recall_of: of } = quality
  say(
    `On ${readings} readings of machines that it has never seen: precision ${percent(precision)}, recall ${percent(recall)}`,
  )
  say(`  (spikes ${percent(of.spike)}, drift ${percent(of.drift)}, rattling ${percent(of.rattle)}).`)

  const version = await uploadModel(hub, 'sensor', bytes, 256)
  const devices = makeDevices(SHOWN.seed, 0, SHOWN.devices, SHOWN.readings)
  await setUp(hub, threshold, devices)
  say(
    `\nModel sensor (${version}), view machine, pipeline sensor and its alert sensor.fault, stream sensor, dataset sensor.`,
  )

  const run = randomUUID().slice(0, 8)
  const sent = Array.from({ length: SHOWN.readings }, (_, n) =>
    devices.map(({ readings }) => readings[n]!),
  ).flat()
  const began = Date.now()
  const events = sent.map(({ device, temperature, vibration }, n) => ({
    ...{ specversion: '1.0', id: `${run}-${n}`, source: '/examples/sensor', type: 'reading' },
    ...{ subject: `${device}-${run}`, data: { machine: device, temperature, vibration } },
  }))
  const { events: accepted } = await hub.json<Accepted>('/v1/events/sensor', {
    ...{ method: 'POST', body: events, headers: { 'content-type': 'application/cloudevents-batch+json' } },
  })
  const results = await resultsOf(
    hub,
    accepted.map(({ result_id }) => result_id),
  )
  const faulty = sent.map(({ fault }) => fault !== undefined)
  const found = results.map(({ result }) => result.fault)
  const count = (is: (n: number) => boolean) => sent.filter((_, n) => is(n)).length
  const [right, wrong, missed] = [
    count((n) => found[n]! && faulty[n]!),
    count((n) => found[n]! && !faulty[n]!),
    count((n) => !found[n]! && faulty[n]!),
  ]
  say(`\n${sent.length} readings of ${SHOWN.devices} machines went in; ${right + missed} are faulty:`)
  say(`  ${right} were told, ${missed} were missed, ${wrong} others were taken for faulty.`)
  const alerts = await alertsSince(hub, began, right + wrong)
  say(`\n${alerts.length} alerts came on the channel \`alerts\` (curl -N ${hub.base}/v1/realtime/alerts):`)
  for (const { event, id } of alerts.slice(0, 3)) say(`  ${id} of event ${event.id}`)
  return {
    example: 'sensor',
    version,
    quality,
    sent: sent.length,
    right,
    missed,
    wrong,
    alerts: alerts.length,
  }
}

async function setUp(hub: HubClient, threshold: number, devices: readonly Device[]) {
  const put = (path: string, body: object) => hub.send(path, { method: 'PUT', body })
  const features = Object.fromEntries(FEATURES.map((name) => [name, 'float']))
  await put('/v1/feature-views/machine', { features })
  await hub.send('/v1/features/machine', {
    method: 'POST',
    body: {
      rows: devices.map(({ name, temperature_mean, vibration_mean }) => ({
        ...{ entity: name, features: { temperature_mean, vibration_mean } },
      })),
    },
  })
  await put('/v2/pipelines/sensor', sensorPipeline(threshold))
  await put('/v1/events/sensor', { handler: { type: 'infer', pipeline: 'sensor' } })
}

/** As the model was trained. */
export const sensorPipeline = (threshold: number) => ({
  inputs: {
    machine: 'text',
    // A run of the example begins with windows of its own.
    series: { type: 'text', path: 'subject' },
    ...{ temperature: 'number', vibration: 'number' },
  },
  features: {
    usual: {
      ...{ view: 'machine', entity: 'machine' },
      values: {
        temperature_mean: { default: SCALES.temperature.mean },
        vibration_mean: { default: SCALES.vibration.mean },
      },
    },
  },
  preprocess: [
    { op: 'concat', from: ['temperature', 'vibration'], as: 'reading' },
    { op: 'window', from: 'reading', by: 'series', length: WINDOW, as: 'readings' },
    { op: 'scale', from: 'readings', mean: of('mean'), std: of('std') },
    { op: 'scale', from: 'usual.temperature_mean', ...SCALES.temperature },
    { op: 'scale', from: 'usual.vibration_mean', ...SCALES.vibration },
    { op: 'concat', from: ['readings', 'usual.temperature_mean', 'usual.vibration_mean'], as: 'x' },
  ],
  models: [{ model: 'sensor', outputs: { y: 'classes' } }],
  postprocess: [
    { op: 'pick', from: 'classes', index: 1, as: 'likely' },
    { op: 'threshold', from: 'likely', value: threshold, as: 'fault' },
    { op: 'round', from: 'likely', digits: 4 },
  ],
  results: ['likely', 'fault'],
  alerts: [{ name: 'fault', when: { field: 'fault', op: 'eq', value: true }, cooldown_seconds: 0 }],
  record: 'sensor',
})

/** In order; a few are asked for at a time, and the first of them wait until they are there. */
async function resultsOf(hub: HubClient, ids: readonly string[]): Promise<Result[]> {
  const results: Result[] = []
  for (let at = 0; at < ids.length; at += 20) {
    const part = ids.slice(at, at + 20).map((id) => {
      const path = `/v1/results/${encodeURIComponent(id)}?wait_seconds=${WAIT_SECONDS}`
      return hub.json<Result>(path)
    })
    results.push(...(await Promise.all(part)))
  }
  return results
}

/** Alerts of the pipeline: so many, or as many as come within five seconds. */
async function alertsSince(hub: HubClient, since: number, wanted: number): Promise<Alert[]> {
  const headers = { accept: 'text/event-stream', 'last-event-id': `${since}-0` }
  const { body } = await hub.send('/v1/realtime/alerts', { headers, stream: true })
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader()
  const patience = setTimeout(() => void reader.cancel(), 5_000)
  const alerts: Alert[] = []
  let text = ''
  while (alerts.length < wanted) {
    const { value, done } = await reader.read()
    if (done) break
    const lines = (text + value).split('\n')
    text = lines.pop()!
    for (const line of lines.filter((line) => line.startsWith('data: {'))) {
      const alert: Alert = JSON.parse(line.slice('data: '.length))
      if (alert.rule === 'sensor.fault') alerts.push(alert)
    }
  }
  clearTimeout(patience)
  await reader.cancel()
  return alerts
}

/** Of a reading's two numbers. */
const of = (side: 'mean' | 'std') => [SCALES.temperature[side], SCALES.vibration[side]]

interface Accepted {
  events: { result_id: string }[]
}

interface Result {
  result: { likely: number; fault: boolean }
}

interface Alert {
  id: string
  rule: string
  event: { id: string }
}
