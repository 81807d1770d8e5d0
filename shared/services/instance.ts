import type { Reply } from '../ports/redis.ts'

export const STATUSES = ['passing', 'warning', 'critical'] as const
type Status = (typeof STATUSES)[number]

/** What an instance says of itself. */
export interface InstanceSetting {
  url: string
  status: Status
  /** Its part of the calls; 0: it is drained, and gets none. */
  weight: number
  metadata: Record<string, string>
  ttl_seconds: number
}

/** An instance of a service, as of now. */
export interface Instance extends Omit<InstanceSetting, 'status'> {
  instance: string
  /** `expired`: it was silent for its `ttl_seconds`. */
  status: Status | 'expired'
  /** RFC 3339: since when it is alive, and until when it is taken for alive. */
  since: string
  expires_at: string
}

/** Exact values of metadata that an instance must have. */
export type MetadataFilter = Readonly<Record<string, string>>

/** Reads a field of a service: `<until> <since> <JSON>`, both Unix ms. */
export function readInstance(instance: string, text: string, now: number): Instance {
  const [, till, since, said] = /^(\d+) (\d+) (.*)$/s.exec(text) as unknown as string[]
  const setting: InstanceSetting = JSON.parse(said!)
  return {
    instance,
    ...setting,
    status: Number(till) > now ? setting.status : 'expired',
    since: new Date(Number(since)).toISOString(),
    expires_at: new Date(Number(till)).toISOString(),
  }
}

/** Every instance of a service, by name. */
export function readInstances([now, flat]: readonly [number, Reply[]]): Instance[] {
  const instances: Instance[] = []
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] as string
    if (!/[@:]/.test(name)) instances.push(readInstance(name, flat[i + 1] as string, now))
  }
  return instances.sort((a, b) => (a.instance < b.instance ? -1 : 1))
}

export const isHealthy = ({ status }: Instance) => status === 'passing' || status === 'warning'

export const matches = ({ metadata }: Instance, wanted: MetadataFilter) =>
  Object.entries(wanted).every(([name, value]) => metadata[name] === value)

/** One of those that pass, at random by weight; of those that warn only where none passes. */
export function chooseInstance(instances: readonly Instance[], random: () => number): Instance | undefined {
  for (const status of STATUSES.slice(0, 2)) {
    const open = instances.filter((one) => one.status === status && one.weight > 0)
    let point = random() * open.reduce((sum, { weight }) => sum + weight, 0)
    for (const one of open) {
      point -= one.weight
      if (point < 0) return one
    }
    if (open.length > 0) return open.at(-1) // what rounding left
  }
  return undefined
}
