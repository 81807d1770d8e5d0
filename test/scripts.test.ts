import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import slotOf from 'cluster-key-slot'
import { describe, expect, it } from 'vitest'
import {
  AGENTS_DUE_KEY,
  agentKeys,
  alertKeys,
  breakerKey,
  budgetKeys,
  channelKeys,
  completionKeys,
  configKeys,
  datasetKeys,
  documentKey,
  ERASURES_DUE_KEY,
  ERASURES_KEY,
  eventKeys,
  featureKey,
  indexesKey,
  jobKeys,
  knowledgeKeys,
  langgraphKeys,
  langgraphThreadsKey,
  lockKeys,
  longMemoryKeys,
  modelKeys,
  preferencesKey,
  promptKey,
  queueKeys,
  requestLogKey,
  resultKey,
  SCHEDULES_DUE_KEY,
  SCHEDULES_RUNS_KEY,
  SWEEPS_KEY,
  serviceKey,
  sessionKeys,
  streamKeys,
  taskKeys,
  windowKey,
} from '../shared/keys.ts'
import type { Script } from '../shared/ports/redis.ts'
import * as generated from '../shared/scripts.generated.ts'

const root = join(import.meta.dirname, '..')
const scripts = Object.values(generated) as Script[]

/** The keys that each script is called with, for a tenant of its own and for the default one. */
const keysOf: Record<string, (tenant: string) => string[]> = {
  lead: (tenant) => run(tenant, 'entry', 'run', 'chunks'),
  beat: (tenant) => run(tenant, 'run', 'chunks'),
  append: (tenant) => run(tenant, 'run', 'chunks'),
  end: (tenant) => run(tenant, 'entry', 'run', 'chunks'),
  release: (tenant) => run(tenant, 'run', 'chunks'),
  reserve: (tenant) => Object.values(budgetKeys(tenant)),
  settle: (tenant) => Object.values(budgetKeys(tenant)),
  'put-prompt': (tenant) => [promptKey(tenant, 'support')],
  'label-prompt': (tenant) => [promptKey(tenant, 'support')],
  'delete-prompt': (tenant) => [promptKey(tenant, 'support')],
  'claim-entries': () => stream('failures'),
  'fail-entries': () => stream('failures', 'dead'),
  'keep-entries': () => stream(),
  'leave-group': () => stream(),
  'trim-stream': () => stream(),
  'replay-dead': () => stream('dead'),
  ingest: (tenant) => Object.values(eventKeys(tenant, 'orders')),
  'lease-group': () => [streamKeys('events:orders', 'store').lease],
  'record-results': (tenant) => Object.values(jobKeys(tenant, 'job-1')),
  ...Object.fromEntries(
    ['begin', 'commit', 'delete', 'retire', 'swept'].map((verb) => [
      `${verb}-document`,
      (tenant: string) => [documentKey(tenant, 'docs', 'a:{b}#1')],
    ]),
  ),
  'claim-due': () => [SWEEPS_KEY],
  'claim-schedules': () => [SCHEDULES_DUE_KEY, SCHEDULES_RUNS_KEY],
  'move-erasure': () => [ERASURES_KEY, ERASURES_DUE_KEY],
  'move-schedule': () => [SCHEDULES_DUE_KEY, SCHEDULES_RUNS_KEY],
  'replace-field': (tenant) => [indexesKey(tenant)],
  'publish-message': (tenant) => {
    const { stream, sent } = channelKeys(tenant, 'agent:tasks')
    return [stream, sent('some/{id}')]
  },
  'observe-alert': (tenant) => Object.values(alertKeys(tenant, 'too-hot')),
  presence: (tenant) => {
    const { present, names, stream } = channelKeys(tenant, 'agent:tasks')
    return [present, names, stream]
  },
  'replace-result': (tenant) => [resultKey(tenant, 'a:{b}')],
  'push-jobs': (tenant) => queue(tenant, 'waiting', 'jobs'),
  'take-jobs': (tenant) => queue(tenant, 'waiting', 'leased', 'jobs'),
  'settle-jobs': (tenant) => queue(tenant, 'leased', 'jobs', 'dead'),
  'keep-jobs': (tenant) => queue(tenant, 'leased', 'jobs'),
  'replay-jobs': (tenant) => queue(tenant, 'waiting', 'jobs', 'dead'),
  'add-task': (tenant) => tasks(tenant, 'tasks', 'index', 'due'),
  'assign-tasks': (tenant) => tasks(tenant, 'tasks', 'index', 'due', 'executors', 'idle'),
  'end-attempt': (tenant) => [
    ...tasks(tenant, 'tasks', 'index', 'due', 'executors', 'idle'),
    taskKeys(tenant).results('some:{planner}'),
  ],
  'keep-task': (tenant) => tasks(tenant, 'tasks', 'due'),
  'enlist-executor': (tenant) => tasks(tenant, 'executors', 'idle'),
  'prune-tasks': (tenant) => tasks(tenant, 'tasks', 'index', 'due'),
  'put-knowledge': (tenant) => {
    const { facts, changes, operation } = knowledgeKeys(tenant, 'prices')
    return [facts, changes, operation('some/{id}')]
  },
  'delete-knowledge': (tenant) => {
    const { facts, changes } = knowledgeKeys(tenant, 'prices')
    return [facts, changes]
  },
  ...Object.fromEntries(
    ['load-checkpoints', 'put-checkpoint', 'put-writes'].map((name) => [
      name,
      (tenant: string) => Object.values(langgraphKeys(tenant, 'a:{b}')),
    ]),
  ),
  'keep-thread': (tenant) => [langgraphThreadsKey(tenant)],
  ...Object.fromEntries(
    ['put-model-part', 'commit-model', 'remove-model'].map((name) => [
      name,
      (tenant: string) => {
        const { model, blob } = modelKeys(tenant, 'iris', '1.0')
        return [model, blob('a'.repeat(64))]
      },
    ]),
  ),
  'put-features': (tenant) => [featureKey(tenant, 'user', 'a:{b}')],
  'drop-features': (tenant) => [featureKey(tenant, 'user', 'a:{b}')],
  'push-window': (tenant) => [windowKey(tenant, 'sensor', 'a1b2', 'a:{b}')],
  'log-requests': (tenant) => [requestLogKey(tenant)],
  'append-rows': (tenant) => Object.values(datasetKeys(tenant, 'clicks')),
  'label-rows': (tenant) => [datasetKeys(tenant, 'clicks').ids],
  'read-rows': (tenant) => Object.values(datasetKeys(tenant, 'clicks')),
  'admit-memory': (tenant) => [
    ...memories(tenant, 'entries', 'hashes', 'ids', 'forgotten'),
    agentKeys(tenant, 'ada').agent,
  ],
  'forget-memory': (tenant) => memories(tenant, 'entries', 'hashes', 'ids', 'forgotten'),
  'restore-memory': (tenant) => memories(tenant, 'entries', 'hashes', 'ids', 'forgotten'),
  'purge-memory': (tenant) => memories(tenant, 'entries', 'hashes', 'forgotten'),
  'drop-memories': (tenant) => [
    ...memories(tenant, 'entries', 'hashes', 'ids', 'forgotten'),
    longMemoryKeys(tenant, 'ada').dropped('nonce'),
  ],
  'put-agent': (tenant) => agent(tenant, 'agent'),
  'delete-agent': (tenant) => agent(tenant, 'agent', 'memory', 'steps', 'inbox', 'calls', 'outbox'),
  'deliver-message': (tenant) => [
    ...agent(tenant, 'agent', 'inbox'),
    agentKeys(tenant, 'planner').seen('a:{b}'),
  ],
  'begin-step': (tenant) => [
    ...agent(tenant, 'agent', 'inbox', 'calls', 'memory'),
    agentKeys(tenant, 'planner').operation('a:{b}'),
  ],
  'journal-step': (tenant) => agent(tenant, 'agent', 'calls'),
  'leave-step': (tenant) => agent(tenant, 'agent'),
  'commit-step': (tenant) => [
    ...agent(tenant, 'agent', 'calls', 'memory', 'steps', 'inbox', 'outbox'),
    agentKeys(tenant, 'planner').operation('a:{b}'),
  ],
  'settle-due': () => [AGENTS_DUE_KEY],
  'acquire-lock': (tenant) => lock(tenant, 'lock', 'fence', 'waiting', 'alive'),
  'read-lock': (tenant) => lock(tenant, 'lock', 'fence', 'alive'),
  'renew-lock': (tenant) => lock(tenant, 'lock', 'fence'),
  'release-lock': (tenant) => lock(tenant, 'lock', 'fence', 'waiting', 'alive'),
  'put-config': (tenant) => {
    const { config, history, operation } = configKeys(tenant, 'billing')
    return [config, history, operation('some/{id}')]
  },
  'put-instance': (tenant) => [serviceKey(tenant, 'billing')],
  'read-service': (tenant) => [serviceKey(tenant, 'billing')],
  'create-session': (tenant) => {
    const { sessions, made } = sessionKeys(tenant, 'a-hash_of-a-user')
    return [sessions, made('a'.repeat(64))]
  },
  'use-session': (tenant) => [sessionKeys(tenant, 'a-hash_of-a-user').sessions],
  'end-sessions': (tenant) => [sessionKeys(tenant, 'a-hash_of-a-user').sessions],
  'patch-preferences': (tenant) => [preferencesKey(tenant, 'a:{b}')],
  breaker: (tenant) => [breakerKey(tenant, 'ollama/llama3:{8b}#main')],
}

const tasks = (tenant: string, ...names: Exclude<keyof ReturnType<typeof taskKeys>, 'results'>[]) => {
  const keys = taskKeys(tenant)
  return names.map((name) => keys[name])
}

const memories = (tenant: string, ...names: ('entries' | 'hashes' | 'ids' | 'forgotten')[]) => {
  const keys = longMemoryKeys(tenant, 'ada')
  return names.map((name) => keys[name])
}

type AgentKey = Exclude<keyof ReturnType<typeof agentKeys>, 'operation' | 'seen'>

const agent = (tenant: string, ...names: AgentKey[]) => {
  const keys = agentKeys(tenant, 'planner')
  return names.map((name) => keys[name])
}

const lock = (tenant: string, ...names: ('lock' | 'fence' | 'waiting' | 'alive')[]) => {
  const keys = lockKeys(tenant, 'orders')
  return names.map((name) => keys[name])
}

const queue = (tenant: string, ...names: ('waiting' | 'leased' | 'jobs' | 'dead')[]) => {
  const keys = queueKeys(tenant, 'mail')
  return names.map((name) => keys[name])
}

const stream = (...names: ('dead' | 'failures')[]) => [
  'events:orders',
  ...names.map((name) => streamKeys('events:orders', 'store')[name]),
]

const run = (tenant: string, ...names: ('entry' | 'run' | 'chunks')[]) => {
  const keys = completionKeys(tenant, 'a'.repeat(64))
  return names.map((name) => keys[name])
}

describe('scripts', () => {
  it.each(scripts)('$name: its SHA-1, its header and its keys', (script) => {
    expect(script.sha).toBe(createHash('sha1').update(script.source).digest('hex'))
    expect(script.source).toMatch(/^-- KEYS: /m)
    expect(script.source).toMatch(/^-- ARGV: /m)
    expect(script.source).toMatch(/^-- Returns: /m)
    const used = [...script.source.matchAll(/KEYS\[(\d+)\]/g)].map(([, number]) => Number(number))
    expect(Math.max(...used)).toBe(script.keyCount)
  })

  it.each(scripts)('$name: its keys share one Cluster slot, whatever the tenant', ({ name, keyCount }) => {
    for (const tenant of ['default', 'acme', 'a.b_c-d']) {
      const keys = keysOf[name]!(tenant)
      expect(keys).toHaveLength(keyCount)
      expect(new Set(keys.map((key) => slotOf(key))).size).toBe(1)
    }
  })

  it('every Lua file is there', () => {
    const files = readdirSync(join(root, 'shared/scripts')).filter((file) => file.endsWith('.lua'))
    expect(files.length).toBe(scripts.length)
  })
})
