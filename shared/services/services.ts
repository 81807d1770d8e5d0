import { HubError } from '../errors.ts'
import { NAME, serviceKey, servicesKey } from '../keys.ts'
import { type Fence, fenceArgs, lockLost } from '../locks/fence.ts'
import type { CallOptions, Redis, Reply } from '../ports/redis.ts'
import { putInstanceScript, readServiceScript } from '../scripts.generated.ts'
import { send } from '../send.ts'
import {
  chooseInstance,
  type Instance,
  type InstanceSetting,
  isHealthy,
  type MetadataFilter,
  matches,
  readInstance,
  readInstances,
} from './instance.ts'

export interface ServicesOptions {
  redis: Redis
  /** From 0 to 1. */
  random?: () => number
}

/** How long an instance that fell silent is still shown, as expired. */
const KEPT_MS = 600_000
const MOST_INSTANCES = 1_000
const SLOW = { timeoutMs: 2_000 }

/** Where the instances of services are, and which of them are well: one hash a service. Redis' clock says who is alive. */
export function createServices({ redis, random = Math.random }: ServicesOptions) {
  const services = {
    /**
     * An instance says that it is there, and how it is: to be repeated before `ttl_seconds` are over.
     *
     * Errors: 412 `lock_lost`, 409 `too_many_instances`, 400 for names.
     */
    async put(
      tenant: string,
      name: string,
      instance: string,
      setting: InstanceSetting,
      fence?: Fence,
    ): Promise<{ instance: Instance; created: boolean }> {
      const key = keyOf(tenant, name)
      checkName('instance', instance)
      const ttlMs = setting.ttl_seconds * 1_000
      const args = [instance, JSON.stringify(setting), ttlMs, KEPT_MS, MOST_INSTANCES, ...fenceArgs(fence)]
      const put = { script: putInstanceScript, keys: [key], args }
      // Each time: what a reader of the list struck off a moment ago is there again.
      const [reply] = await redis.wave([put, ['ZADD', servicesKey(tenant), 0, name]], SLOW)
      if (reply instanceof Error) throw reply
      const [outcome, number, text, created] = reply as [string, number, string, number]
      if (outcome === 'lost') throw lockLost(fence!, number)
      if (outcome === 'full') throw tooMany(name)
      return { instance: readInstance(instance, text, number), created: created === 1 }
    },

    /** Throws 404. */
    async delete(tenant: string, name: string, instance: string): Promise<void> {
      const removed = await send(redis, ['HDEL', keyOf(tenant, name), checkName('instance', instance)], SLOW)
      if (removed === 0) throw unknownInstance(name, instance)
    },

    /** Throws 404. */
    async get(tenant: string, name: string, instance: string): Promise<Instance> {
      const found = await services.instances(tenant, name)
      const one = found.find((known) => known.instance === instance)
      if (!one) throw unknownInstance(name, instance)
      return one
    },

    /** Every instance that is kept, by name, also those that are not well. None where nobody knows the service. */
    async instances(tenant: string, name: string, options: CallOptions = SLOW): Promise<Instance[]> {
      const call = { script: readServiceScript, keys: [keyOf(tenant, name)], args: [] }
      return readInstances((await send(redis, call, options)) as [number, Reply[]])
    },

    /**
     * One that is well, at random by weight, and none of `exclude`.
     *
     * Errors: 404 `service_not_found`, 503 `no_healthy_instance`.
     */
    async choose(
      tenant: string,
      name: string,
      { exclude = [], metadata = {} }: { exclude?: readonly string[]; metadata?: MetadataFilter } = {},
    ): Promise<Instance> {
      const known = await services.instances(tenant, name)
      if (known.length === 0) throw unknownService(name)
      const open = known.filter((one) => !exclude.includes(one.instance) && matches(one, metadata))
      const chosen = chooseInstance(open, random)
      if (!chosen) throw noneHealthy(name)
      return chosen
    },

    /** Services by name, those after `after`, and how many instances they have. */
    async list(tenant: string, { limit, after }: { limit: number; after?: string }) {
      const start = after === undefined ? '-' : `(${after}`
      const range = ['ZRANGE', servicesKey(tenant), start, '+', 'BYLEX', 'LIMIT', 0, limit + 1] as const
      const names = (await send(redis, range, SLOW)) as string[]
      const page = names.slice(0, limit)
      const asked = page.map((name) => ({
        ...{ script: readServiceScript, keys: [serviceKey(tenant, name)], args: [] },
      }))
      const replies = page.length > 0 ? await redis.wave(asked, SLOW) : []
      const found = page.map((name, i) => {
        const reply = replies[i]
        if (reply instanceof Error) throw reply
        const instances = readInstances(reply as [number, Reply[]])
        return { name, instances: instances.length, healthy: instances.filter(isHealthy).length }
      })
      const gone = found.flatMap(({ name, instances }) => (instances === 0 ? [name] : []))
      if (gone.length > 0) await send(redis, ['ZREM', servicesKey(tenant), ...gone], SLOW)
      return { data: found.filter(({ instances }) => instances > 0), has_more: names.length > limit }
    },
  }
  return services
}

export type Services = ReturnType<typeof createServices>

function keyOf(tenant: string, name: string) {
  return serviceKey(tenant, checkName('name', name))
}

function checkName(param: string, name: string): string {
  if (NAME.test(name)) return name
  const message = `${param}: must be 1 to 64 of A-Z a-z 0-9 _ . -`
  throw new HubError({ code: 'invalid_value', status: 400, message, param })
}

const unknownService = (name: string) =>
  new HubError({
    code: 'service_not_found',
    status: 404,
    message: `No instance of ${name} is known. Each registers itself: PUT /v1/services/${name}/{instance}.`,
    param: 'name',
  })

const unknownInstance = (name: string, instance: string) =>
  new HubError({
    code: 'instance_not_found',
    status: 404,
    message: `${name} has no instance ${instance}. GET /v1/services/${name}?all=true lists those that it has.`,
    param: 'instance',
  })

export const noneHealthy = (name: string) =>
  new HubError({
    code: 'no_healthy_instance',
    status: 503,
    message: `No instance of ${name} that could be chosen is well. GET /v1/services/${name}?all=true tells how they are.`,
    retryAfterSeconds: 1,
  })

const tooMany = (name: string) =>
  new HubError({
    code: 'too_many_instances',
    status: 409,
    message: `${name} has ${MOST_INSTANCES} instances. Remove some: DELETE /v1/services/${name}/{instance}.`,
    param: 'instance',
  })
