import { buildDense, type DenseLayer } from './dense-model.ts'
import { normal, seeded } from './random.ts'
import { predict, type TrainingRow, train } from './train.ts'

interface Reading {
  device: string
  /** °C */
  temperature: number
  /** mm/s */
  vibration: number
  /** What is wrong with the machine then; it is not sent. */
  fault?: Fault
}

type Fault = 'spike' | 'drift' | 'rattle'

export interface Device {
  name: string
  /** What is usual for it: features of it. */
  temperature_mean: number
  vibration_mean: number
  readings: Reading[]
}

export interface Quality {
  readings: number
  faulty: number
  precision: number
  recall: number
  /** By the kind of fault. */
  recall_of: Record<Fault, number>
}

/** Readings that the model sees at a time. */
export const WINDOW = 8
/** What readings are scaled by, in the pipeline as here. */
export const SCALES = { temperature: { mean: 60, std: 10 }, vibration: { mean: 2, std: 1 } }
export const FEATURES = ['temperature_mean', 'vibration_mean'] as const

/**
 * A model that tells faulty readings of machines, trained on made-up ones: devices 0 to 39 of the seed, the threshold chosen on 40 to 49,
 * and its quality measured on 50 to 69, which it has never seen.
 */
export function makeSensorModel(seed = 1936): { bytes: Uint8Array; threshold: number; quality: Quality } {
  const rowsOf = (from: number, to: number) => makeDevices(seed, from, to, 400).flatMap(toRows)
  const layers = train(rowsOf(0, 40), {
    ...{ sizes: [WINDOW * 2 + FEATURES.length, 24, 2], epochs: 20, rate: 0.005, batch: 64 },
    random: seeded(seed),
  })
  const threshold = bestThreshold(scored(layers, rowsOf(40, 50)))
  const quality = qualityOf(scored(layers, rowsOf(50, 70)), threshold)
  return { bytes: buildDense(layers), threshold, quality }
}

/** Machines number `from` to `to` of a seed, each with so many readings, one in five or so of them within a fault. */
export function makeDevices(seed: number, from: number, to: number, readings: number): Device[] {
  return Array.from({ length: to - from }, (_, n) => makeDevice(seed, from + n, readings))
}

function makeDevice(seed: number, number: number, count: number): Device {
  const random = seeded(seed * 100_003 + number)
  const name = `machine-${number}`
  const [warm, shaky] = [50 + 20 * random(), 1.5 + random()]
  const [phase, day] = [2 * Math.PI * random(), 80 + 80 * random()]
  const readings: Reading[] = []
  let noise = 0
  let fault: { kind: Fault; began: number; left: number; sign: number } | undefined
  for (let n = 0; n < count; n++) {
    noise = 0.8 * noise + 0.5 * normal(random)
    let temperature = warm + 3 * Math.sin(phase + (2 * Math.PI * n) / day) + noise
    let vibration = shaky + 0.15 * normal(random)
    if (!fault && n >= WINDOW && random() < 0.03) {
      const kind = random() < 0.6 ? 'spike' : random() < 0.5 ? 'drift' : 'rattle'
      fault = { kind, began: n, left: kind === 'spike' ? 1 : 12, sign: random() < 0.5 ? -1 : 1 }
    }
    if (fault?.kind === 'spike') temperature += fault.sign * (6 + 4 * random())
    if (fault?.kind === 'drift') temperature += 1.2 * (n - fault.began + 1)
    if (fault?.kind === 'rattle') vibration += 0.8 * Math.abs(normal(random))
    readings.push({
      ...{ device: name, temperature: round(temperature), vibration: round(vibration) },
      ...(fault && { fault: fault.kind }),
    })
    if (fault && --fault.left === 0) fault = undefined
  }
  return { name, temperature_mean: round(warm), vibration_mean: round(shaky), readings }
}

interface SensorRow extends TrainingRow {
  fault?: Fault
}

/** What the pipeline makes of each reading: the window up to it, the oldest first, and the device's features. */
function toRows({ readings, temperature_mean, vibration_mean }: Device): SensorRow[] {
  const { temperature, vibration } = SCALES
  const scale = (value: number, { mean, std }: { mean: number; std: number }) => (value - mean) / std
  const usual = [scale(temperature_mean, temperature), scale(vibration_mean, vibration)]
  return readings.slice(WINDOW - 1).map(({ fault }, n) => {
    const window = readings.slice(n, n + WINDOW)
    const x = window.flatMap((one) => [scale(one.temperature, temperature), scale(one.vibration, vibration)])
    return { x: [...x, ...usual], label: fault ? 1 : 0, fault }
  })
}

interface Scored {
  score: number
  fault?: Fault
}

const scored = (layers: readonly DenseLayer[], rows: readonly SensorRow[]): Scored[] =>
  rows.map(({ x, fault }) => ({ score: predict(layers, x)[1]!, fault }))

/** Where precision and recall are best together (F1). */
function bestThreshold(rows: readonly Scored[]): number {
  const f1 = (threshold: number) => {
    const { precision, recall } = qualityOf(rows, threshold)
    return (2 * precision * recall) / (precision + recall || 1)
  }
  const candidates = Array.from({ length: 19 }, (_, n) => (n + 1) / 20)
  return candidates.reduce((best, one) => (f1(one) > f1(best) ? one : best))
}

function qualityOf(rows: readonly Scored[], threshold: number): Quality {
  const faulty = rows.filter(({ fault }) => fault)
  const found = rows.filter(({ score }) => score >= threshold)
  const right = found.filter(({ fault }) => fault)
  const recallOf = (kind: Fault) =>
    right.filter(({ fault }) => fault === kind).length / faulty.filter(({ fault }) => fault === kind).length
  return {
    ...{ readings: rows.length, faulty: faulty.length },
    precision: right.length / (found.length || 1),
    recall: right.length / faulty.length,
    recall_of: { spike: recallOf('spike'), drift: recallOf('drift'), rattle: recallOf('rattle') },
  }
}

const round = (value: number) => Math.round(value * 100) / 100
