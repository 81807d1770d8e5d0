import type { ChunkRef, VectorKeys } from './ports/vectors.ts'

/**
 * Every Redis key of the hub. The default tenant has the bare key, others `t:<tenant>:` before it. A key that a script
 * uses together with base key K is `{K}:suffix`, so both share K's Cluster slot. TTLs stand beside their key.
 */

export const DEFAULT_TENANT = 'default'

/** What tenants, indexes, streams and other names look like. */
export const NAME = /^[A-Za-z0-9_.-]{1,64}$/

/** One hash a tenant: key id → key record. */
export const hubKeysKey = (tenant: string) => `${prefix(tenant)}keys`

/** Field of that hash: the tenant's own settings. */
export const TENANT_FIELD = '@tenant'

/** String that `doctor` writes for a second, to see whether Redis takes it. */
export const DOCTOR_KEY = 'doctor'
export const DOCTOR_TTL_SECONDS = 1

/** Set of the tenants that have hub keys. */
export const TENANTS_KEY = 'tenants'

/** Hash of the whole hub: route id → route of the HTTP gateway. */
export const ROUTES_KEY = 'routes'

/** String: a stored response, or by which headers its URL varies. */
export const httpCacheKey = (tenant: string, hash: string) => `${prefix(tenant)}http:cache:${hash}`

/** How long a stored response is kept past its freshness, to be validated again or to stand in for an upstream that fails. */
export const HTTP_CACHE_KEPT_SECONDS = 3600

/** The longest that a response is kept, whatever the upstream says. */
export const HTTP_CACHE_LONGEST_SECONDS = 7 * 86_400

/** Hash: counters of the tenant's completion cache. */
export const cacheStatsKey = (tenant: string) => `${prefix(tenant)}llm:stats`

/** Of @upstash/ratelimit, which appends an identifier in braces. */
export const rateLimitPrefix = (tenant: string) => `${prefix(tenant)}ratelimit`

/** Hash of money spent and held; sorted sets of reservations and of settled ones. */
export function budgetKeys(tenant: string) {
  const budget = `${prefix(tenant)}budget`
  return { budget, reservations: `{${budget}}:reservations`, settled: `{${budget}}:settled` }
}

/** Sorted set of one UTC day: members `model:<provider/model>` and `key:<id>`. Kept for 90 days by default. */
export const usageKey = (tenant: string, metric: string, day: string) =>
  `${prefix(tenant)}usage:${metric}:${day}`

/** Hash: counters of the completions of one minute, `<yyyymmddhhmm>` (UTC). */
export const trafficKey = (tenant: string, minute: string) => `${prefix(tenant)}traffic:${minute}`

/** How long the counters of a minute are kept: a day. */
export const TRAFFIC_TTL_SECONDS = 86_400

/** Stream: completions that are over, one entry each; its retention is set by the environment. */
export const requestLogKey = (tenant: string) => `${prefix(tenant)}requests`

/** String, JSON: a response of `POST /v1/responses` with what led to it, to be continued. */
export const responseKey = (tenant: string, id: string) => `${prefix(tenant)}response:${escapeId(id)}`

/** How long a response can be continued: 30 days, as at OpenAI. */
export const RESPONSE_TTL_SECONDS = 30 * 86_400

/** Hash: alias → where it leads. */
export const modelRoutesKey = (tenant: string) => `${prefix(tenant)}model-routes`

/** Hash: `<provider>/<id>` → a sealed credential of the tenant's own. */
export const credentialsKey = (tenant: string) => `${prefix(tenant)}credentials`

/** Hash. A breaker that all tenants share is the default tenant's. Its script keeps it for a day. */
export const breakerKey = (tenant: string, name: string) => `${prefix(tenant)}breaker:${escapeId(name)}`

/** Sorted set: `<tenant>/<name>` of breakers that counted a failure or were set, by when (Unix ms). */
export const BREAKERS_KEY = 'breakers'

/** Hash: versions of a prompt and its labels. */
export const promptKey = (tenant: string, name: string) => `${prefix(tenant)}prompt:${name}`

/** Sorted set of their names, all with score 0. */
export const promptNamesKey = (tenant: string) => `${prefix(tenant)}prompts`

export interface CompletionKeys {
  /** Of the request (`completionHash`). */
  hash: string
  /** String: the stored answer. */
  entry: string
  /** Hash: the lease of the running call, and who waits for it. */
  run: string
  /** Stream: pieces of the running answer. */
  chunks: string
  /** Pub/sub channel: new pieces are there. */
  wakeUp: string
}

export function completionKeys(tenant: string, hash: string): CompletionKeys {
  const entry = `${prefix(tenant)}llm:cache:${hash}`
  return { hash, entry, run: `{${entry}}:run`, chunks: `{${entry}}:chunks`, wakeUp: `{${entry}}:wake` }
}

/** Glob of all the tenant's stored answers, for SCAN. */
export const completionEntries = (tenant: string) => `${escapeGlob(prefix(tenant))}llm:cache:*`

export const COMPLETION_TTL_SECONDS = 3600

/** A lease that is not renewed for this long is free: its holder is taken for dead. */
export const RUN_LEASE_MS = 5_000

/** How long the end of a run stays readable for those who follow it. */
export const RUN_ENDED_MS = 30_000

/** Hash: name → definition of an index, or where an alias leads. */
export const indexesKey = (tenant: string) => `${prefix(tenant)}indexes`

/** Hash: a document's text, metadata, SHA-256 and the version that counts. */
export const documentKey = (tenant: string, index: string, id: string) =>
  `${prefix(tenant)}docmeta:${index}:${escapeId(id)}`

/** Sorted set of an index's document ids, all with score 0. */
export const documentIdsKey = (tenant: string, index: string) => `${prefix(tenant)}docs:${index}`

/** Sorted set of the whole hub: versions to remove (JSON), by when (Unix ms). */
export const SWEEPS_KEY = 'sweeps'

/** Sorted set of the whole hub: questions of the semantic cache (JSON), by when their answers expire (Unix ms). */
export const QUESTIONS_KEY = 'llm:questions'

/** Set: hashes of stored answers that cite the document. Kept as long as the longest-lived of them. */
export const citedByKey = (tenant: string, index: string, id: string) =>
  `${prefix(tenant)}cites:${index}:${escapeId(id)}`

/** String: a vector, as base64 of little-endian float32. */
export const embeddingKey = (tenant: string, hash: string) => `${prefix(tenant)}embed:cache:${hash}`

/** Long enough for an import that is run again and for what is searched for every day; documents keep their own vectors. */
export const EMBEDDING_TTL_SECONDS = 86_400

/** Hash of a job; `results` is a hash: item → how it went. */
export function jobKeys(tenant: string, id: string) {
  const job = `${prefix(tenant)}job:${id}`
  return { job, results: `{${job}}:results` }
}

/** How long a job can be asked about after it was made or last moved on. */
export const JOB_TTL_SECONDS = 3 * 86_400

/** String: which job's item wrote a document last. Kept like the job. */
export const documentJobKey = (tenant: string, index: string, id: string) =>
  `${prefix(tenant)}docjob:${index}:${escapeId(id)}`

/** Stream of the whole hub: documents to embed. */
export const EMBED_STREAM = 'embed:jobs'

/** Hash of a tenant: stream → its settings. */
export const streamSettingsKey = (tenant: string) => `${prefix(tenant)}streams`

/** Set of the whole hub: `<tenant>/<stream>` of streams that somebody works on. */
export const HANDLED_STREAMS_KEY = 'streams:handled'

/** Stream of events; sorted set: hash of source and id → until when it is a duplicate (Unix ms). */
export function eventKeys(tenant: string, stream: string) {
  const events = `${prefix(tenant)}events:${stream}`
  return { events, seen: `{${events}}:seen` }
}

/** String, JSON: what came of an event or an inference. */
export const resultKey = (tenant: string, id: string) => `${prefix(tenant)}result:${escapeId(id)}`

/** Pub/sub channel: which results of a stream or queue are there. */
export const resultsChannel = (tenant: string, stream: string) => `${prefix(tenant)}results:${stream}`

/** Set of the whole hub: `<tenant>/<queue>` of queues that ever got a job. */
export const QUEUES_KEY = 'queues'

/** Pub/sub channel: `<tenant>/<queue>` that got a job now. */
export const QUEUES_PUSHED = 'queues:pushed'

/**
 * List of jobs that wait; sorted set of those that are worked on, or wait for another attempt, by when that is over (Unix ms); hash of
 * their bodies, attempts and causes of death; list of dead ones.
 */
export function queueKeys(tenant: string, queue: string) {
  const waiting = `${prefix(tenant)}queue:${queue}`
  return { waiting, leased: `{${waiting}}:leased`, jobs: `{${waiting}}:jobs`, dead: `{${waiting}}:dead` }
}

/**
 * Pub/sub channel; the stream behind it; connections that gave a name (sorted set by when they were last seen, Unix ms) and their names
 * (hash: how many connections); what was sent under an operation id (string).
 */
export function channelKeys(tenant: string, channel: string) {
  const stream = `${prefix(tenant)}stream:${channel}`
  return {
    channel: `${prefix(tenant)}${channel}`,
    stream,
    present: `{${stream}}:present`,
    names: `{${stream}}:names`,
    sent: (operation: string) => `{${stream}}:sent:${escapeId(operation)}`,
  }
}

/**
 * Hash: settings and state of an agent. Streams: working memory, journal, messages that came, messages to send. Hash: the model's
 * answer and tool calls of the running step. Strings: results by operation id, messages by id; kept for a day.
 */
export function agentKeys(tenant: string, id: string) {
  const agent = `${prefix(tenant)}agent:${id}`
  return {
    agent,
    memory: `{${agent}}:memory`,
    steps: `{${agent}}:steps`,
    inbox: `{${agent}}:inbox`,
    outbox: `{${agent}}:outbox`,
    calls: `{${agent}}:calls`,
    operation: (operation: string) => `{${agent}}:op:${escapeId(operation)}`,
    seen: (message: string) => `{${agent}}:seen:${escapeId(message)}`,
  }
}

/** Sorted set of a tenant's agents, all with score 0. */
export const agentIdsKey = (tenant: string) => `${prefix(tenant)}agents`

/** Sorted set of the whole hub: `<tenant>/<id>` of agents that somebody must look after, by when (Unix ms). */
export const AGENTS_DUE_KEY = 'agents:due'

/** Pub/sub channel: an agent is due now. */
export const AGENTS_DUE = 'agents:due:now'

/** Channel of one agent's own events; the tenant's are `agent:tasks`, `agent:events` and `agent:logs`. */
export const agentChannel = (id: string) => `agent:${id}:events`

/**
 * Of an agent. Hash: memory id → memory (JSON), `<id>:forgotten` → since when (Unix ms). Hash: `text:<hash>` and `once:<hash>` → memory id,
 * `space` → embedding model (JSON). Sorted sets, all with score 0, of ids, which rise with time: memories; forgotten ones; those that a
 * deleted agent had.
 */
export function longMemoryKeys(tenant: string, agent: string) {
  const { agent: base } = agentKeys(tenant, agent)
  return {
    entries: `{${base}}:facts`,
    hashes: `{${base}}:facts:hashes`,
    ids: `{${base}}:facts:ids`,
    forgotten: `{${base}}:facts:forgotten`,
    dropped: (nonce: string) => `{${base}}:facts:dropped:${nonce}`,
  }
}

/** How long a forgotten memory can be brought back. */
export const FORGOTTEN_KEPT_MS = 30 * 86_400_000

/** Sorted set of the whole hub: memories to look after (JSON), by when (Unix ms). */
export const MEMORIES_DUE_KEY = 'memories:due'

/**
 * Tasks of a tenant. Hash: what is known of each. Sorted set, all with score 0: `<class> <number> <id>`, by status, by who may take them and
 * by when they ended. Sorted set: those that somebody must look after, by when (Unix ms). Hash: executor → its topics and its task (JSON).
 * Sorted set: idle executors, by since when (Unix ms). Lists: what a planner's tasks brought, the latest first.
 */
export function taskKeys(tenant: string) {
  const tasks = `${prefix(tenant)}tasks`
  return {
    tasks,
    index: `{${tasks}}:index`,
    due: `{${tasks}}:due`,
    executors: `{${tasks}}:executors`,
    idle: `{${tasks}}:idle`,
    results: (planner: string) => `{${tasks}}:results:${escapeId(planner)}`,
  }
}

/** How long a task waits for an executor, and can be asked about once it is over; and the results of a planner. */
export const TASK_KEPT_MS = 7 * 86_400_000

/** Set of the whole hub: tenants that ever had tasks. */
export const TASK_TENANTS_KEY = 'tasks:tenants'

/** String: a tool's result. */
export const toolCacheKey = (tenant: string, hash: string) => `${prefix(tenant)}tool:cache:${hash}`

/**
 * Hash: field → value, version, and who wrote it (JSON). Hash: how often the topic was changed, and the version that no new field begins below;
 * expires where no field is left. String: what a change under an operation id came to.
 */
export function knowledgeKeys(tenant: string, topic: string) {
  const facts = `${prefix(tenant)}knowledge:${topic}`
  return {
    facts,
    changes: `{${facts}}:changes`,
    operation: (operation: string) => `{${facts}}:op:${escapeId(operation)}`,
  }
}

/** Sorted set of a tenant's topics, all with score 0. */
export const knowledgeTopicsKey = (tenant: string) => `${prefix(tenant)}knowledge`

/** Hash: what is known of a version of a model; hash: its bytes, part → base64, by their SHA-256. */
export function modelKeys(tenant: string, name: string, version: string) {
  const model = `${prefix(tenant)}model:${name}:${version}`
  return { model, blob: (sha256: string) => `{${model}}:blob:${sha256}` }
}

/** How long the bytes of an upload that never ends are kept. */
export const MODEL_UPLOAD_TTL_SECONDS = 3_600

/** Hash of a tenant: model → its versions and labels (JSON). */
export const modelsKey = (tenant: string) => `${prefix(tenant)}models`

/** Pub/sub channel: `<tenant>/<model>` whose versions or labels changed. */
export const MODELS_CHANGED = 'models:changed'

/** Hash of a tenant: name → pipeline (JSON). */
export const pipelinesKey = (tenant: string) => `${prefix(tenant)}pipelines`

/** Sorted set: the latest values of an entity, by when they came. Its pipeline says for how long it is kept. */
export const windowKey = (tenant: string, pipeline: string, window: string, entity: string) =>
  `${prefix(tenant)}window:${pipeline}:${window}:${escapeId(entity)}`

/** Hash of a tenant: view → its features (JSON). */
export const featureViewsKey = (tenant: string) => `${prefix(tenant)}features`

/** Hash: feature → event time and value of an entity; `@` → of which view. Expires where its view has a TTL. */
export const featureKey = (tenant: string, view: string, entity: string) =>
  `${prefix(tenant)}feature:${view}:${escapeId(entity)}`

/** Glob of a view's entities, for SCAN. */
export const featureEntities = (tenant: string, view: string) =>
  `${escapeGlob(prefix(tenant))}feature:${view}:*`

/** Hash of a tenant: dataset → its bounds (JSON). */
export const datasetsKey = (tenant: string) => `${prefix(tenant)}datasets`

/** Stream: rows; hash: row id → its place there, and its labels, which mostly come later. Both expire where rows have a greatest age. */
export function datasetKeys(tenant: string, name: string) {
  const rows = `${prefix(tenant)}dataset:${name}`
  return { rows, ids: `{${rows}}:ids` }
}

/** Hash of a tenant: source → how its webhooks are verified and where they go. */
export const webhookSourcesKey = (tenant: string) => `${prefix(tenant)}webhooks`

/** Stream of the whole hub: webhooks to send. */
export const DELIVERIES_STREAM = 'webhooks:out'

/** Hash of a tenant: hash of a URL → when it answered 410 (Unix ms): nothing is sent there any more. */
export const goneWebhooksKey = (tenant: string) => `${prefix(tenant)}webhooks:gone`

/** Hash of a tenant: name → alert rule. */
export const alertRulesKey = (tenant: string) => `${prefix(tenant)}alert-rules`

/** Of one rule, beside the rules: what it knows and what it is still to say (hash); the latest of what it counts (sorted set: id, by Unix ms). */
export function alertKeys(tenant: string, name: string) {
  const rules = alertRulesKey(tenant)
  return { rules, state: `{${rules}}:state:${name}`, recent: `{${rules}}:recent:${name}` }
}

/** Set of the whole hub: tenants that have alert rules. */
export const ALERTING_TENANTS_KEY = 'alerts:tenants'

/** Hash of a tenant: name → schedule. */
export const schedulesKey = (tenant: string) => `${prefix(tenant)}schedules`

/** Sorted set of the whole hub: `<tenant>/<name>` of schedules, by when they are due (Unix ms). */
export const SCHEDULES_DUE_KEY = 'schedules:due'

/** Hash: `<tenant>/<name>` → for when its run was planned, and who runs it. */
export const SCHEDULES_RUNS_KEY = `{${SCHEDULES_DUE_KEY}}:runs`

/** Hash of a schedule: how its last run went, and how far it has read; sorted set: what it has read, by when (Unix ms). */
export function scheduleKeys(tenant: string, name: string) {
  const schedule = `${prefix(tenant)}schedule:${name}`
  return { schedule, seen: `{${schedule}}:seen` }
}

/**
 * String, for as long as somebody holds the lock: the fencing token, and who; string: the highest token that was ever given. Sorted sets of those
 * who wait (operation ids): by when they came (Unix µs), by until when they are believed to (Unix ms). Pub/sub channel: whose turn it is.
 */
export function lockKeys(tenant: string, name: string) {
  const lock = `${prefix(tenant)}lock:${name}`
  return {
    lock,
    fence: `{${lock}}:fence`,
    waiting: `{${lock}}:waiting`,
    alive: `{${lock}}:alive`,
    freed: `{${lock}}:freed`,
  }
}

/** How long a queue is kept in which nobody moves. */
export const LOCK_QUEUE_TTL_MS = 60_000

/** Hash of a service: instance → until when it is taken for alive, and where it is (JSON); what fences it. */
export const serviceKey = (tenant: string, name: string) => `${prefix(tenant)}service:${name}`

/** Sorted set of a tenant's services, all with score 0. */
export const servicesKey = (tenant: string) => `${prefix(tenant)}services`

/**
 * Hash: number of a configuration's newest version, what is said of each, and what fences it; stream: its versions; string: what an operation
 * came to. Pub/sub channel: it changed.
 */
export function configKeys(tenant: string, namespace: string) {
  const config = `${prefix(tenant)}config:${namespace}`
  return {
    config,
    history: `{${config}}:history`,
    changed: `{${config}}:changed`,
    operation: (operation: string) => `{${config}}:op:${escapeId(operation)}`,
  }
}

/** Sorted set of a tenant's configurations, all with score 0. */
export const configsKey = (tenant: string) => `${prefix(tenant)}configs`

/**
 * Hash: sessions of one user, their ids as SHA-256 alone; string: which one a creation under an operation id made. `user` is a hash of the user's
 * name: session ids hold it.
 */
export function sessionKeys(tenant: string, user: string) {
  const sessions = `${prefix(tenant)}session:${user}`
  return { sessions, made: (operation: string) => `{${sessions}}:made:${operation}` }
}

/** String: hash of the session that was asked for under an operation id. */
export const sessionOperationKey = (tenant: string, operation: string) =>
  `${prefix(tenant)}sessions:op:${operation}`

/** Hash: preferences of a user (JSON Pointer → JSON), their version, and what fences them. */
export const preferencesKey = (tenant: string, user: string) => `${prefix(tenant)}prefs:${escapeId(user)}`

/** String: what preferences a tenant's users have (JSON). */
export const preferenceTypesKey = (tenant: string) => `${prefix(tenant)}prefs-types`

/** Stream of the whole hub: administrative acts. */
export const AUDIT_STREAM = 'audit'

/** Hash: how the acts of a UTC day (`2027-03-01`) ended, by their ids in that stream (JSON). */
export const auditOutcomesKey = (day: string) => `{${AUDIT_STREAM}}:outcomes:${day}`

/** Hash of the whole hub: tenant → its erasure (JSON), kept after it. */
export const ERASURES_KEY = 'erasures'

/** Sorted set of the whole hub: tenants to erase, by when somebody goes on with it (Unix ms). */
export const ERASURES_DUE_KEY = `{${ERASURES_KEY}}:due`

/** Globs of all keys of a tenant that is not the default one, for SCAN. */
export const tenantKeyGlobs = (tenant: string) => [
  `${escapeGlob(prefix(tenant))}*`,
  `{${escapeGlob(prefix(tenant))}*`,
]

/**
 * Of one LangGraph thread: its checkpoints (sorted set, all with score 0: names in the order of their namespaces and ids); before a
 * checkpoint's name (hash: it and its writes); before a channel value's name (string).
 */
export function langgraphKeys(tenant: string, threadId: string) {
  const thread = `${prefix(tenant)}langgraph:thread:${escapeId(threadId)}`
  return { thread, checkpoint: `{${thread}}:checkpoint:`, value: `{${thread}}:value:` }
}

/** Names within a thread. A name sorts by namespace, then by id, and tells its parts. */
export const langgraphNames = {
  checkpoint: (namespace: string, id: string) => `${escapeId(namespace)}:${escapeId(id)}`,
  value: (namespace: string, channel: string, version: string | number) =>
    `${escapeId(namespace)}:${escapeId(channel)}:${escapeId(String(version))}`,
  read: (name: string) => name.split(':').map(decodeURIComponent),
}

/** Sorted set of a tenant: LangGraph threads, by when they are forgotten (Unix ms; in a century where never). */
export const langgraphThreadsKey = (tenant: string) => `${prefix(tenant)}langgraph:threads`

/** What a stream has beside it: dead letters (stream); of each group, failed attempts by entry (hash) and who may work alone (hash with expiry). */
export function streamKeys(stream: string, group: string) {
  return {
    dead: `{${stream}}:dead`,
    failures: `{${stream}}:failures:${group}`,
    lease: `{${stream}}:lease:${group}`,
  }
}

/** Keys of models in RedisAI, by what is unique for their bytes. In one slot, as one command runs several; kept a day after their last use. */
export const redisaiKeys = {
  routing: '{redisai}',
  model: (key: string) => `{redisai}:${key}`,
  ttlSeconds: 86_400,
}

/** Glob of a tenant's models there, for SCAN: what is unique for their bytes begins with the tenant. */
export const redisaiModels = (tenant: string) => `{redisai}:${escapeGlob(tenant)}/*`

/** Keys of the whole hub; `{K}:…` of one of them is too. A tenant's erasure leaves them and removes its members (`shared/tenants/hub-members.ts`). */
export const HUB_KEYS: readonly string[] = [
  ...[TENANTS_KEY, ROUTES_KEY, BREAKERS_KEY, SWEEPS_KEY, QUESTIONS_KEY, EMBED_STREAM, HANDLED_STREAMS_KEY],
  ...[
    QUEUES_KEY,
    AGENTS_DUE_KEY,
    MEMORIES_DUE_KEY,
    TASK_TENANTS_KEY,
    DELIVERIES_STREAM,
    ALERTING_TENANTS_KEY,
  ],
  ...[SCHEDULES_DUE_KEY, AUDIT_STREAM, ERASURES_KEY, DOCTOR_KEY],
]

/** Whose a key is: null for a key of the whole hub. What begins like no other tenant's is the default tenant's. */
export function tenantOfKey(key: string): string | null {
  const [, tenant] = /^\{?t:([A-Za-z0-9_.-]+):/.exec(key) ?? []
  if (tenant !== undefined) return tenant
  const base = /^\{([^}]*)\}/.exec(key)?.[1] ?? key
  return HUB_KEYS.includes(base) || key.startsWith(redisaiKeys.routing) ? null : DEFAULT_TENANT
}

/** Keys of the vectors port. A chunk's name is `<document id>#<version>.<n>`, the same wherever it is a member. */
export const vectorKeys: VectorKeys = {
  chunk: (index, chunk) => vectorKeys.chunkPrefix(index) + chunkName(chunk),
  chunkPrefix: ({ tenant, name }) => `${prefix(tenant)}doc:${name}:`,
  readChunk(index, key) {
    const start = vectorKeys.chunkPrefix(index)
    return key.startsWith(start) ? readChunkName(key.slice(start.length)) : undefined
  },
  vectors(index, partition, tag) {
    const all = `${prefix(index.tenant)}vec:${index.name}:${partition}`
    return tag === undefined ? all : `{${all}}:${escapeId(tag)}`
  },
  postings: (index, partition, term) =>
    `{${prefix(index.tenant)}lex:${index.name}:${partition}}:${escapeId(term)}`,
  attributes: (index, partition) => `${prefix(index.tenant)}attr:${index.name}:${partition}`,
  tagged: (index, partition, field, value) =>
    `{${prefix(index.tenant)}attr:${index.name}:${partition}}:tag:${escapeId(field)}:${escapeId(value)}`,
  numbered: (index, partition, field) =>
    `{${prefix(index.tenant)}attr:${index.name}:${partition}}:number:${escapeId(field)}`,
  name: ({ tenant, name }) => vectorKeys.namePrefix(tenant) + name,
  namePrefix: (tenant) => `${tenant}:`,
}

function chunkName({ documentId, version, n }: ChunkRef): string {
  return `${escapeId(documentId)}#${version}.${n}`
}

function readChunkName(name: string): ChunkRef | undefined {
  const [, id, version, n] = /^(.*)#(\d+)\.(\d+)$/s.exec(name) ?? []
  if (id === undefined) return undefined
  return { documentId: decodeURIComponent(id), version: Number(version), n: Number(n) }
}

function prefix(tenant: string): string {
  return tenant === DEFAULT_TENANT ? '' : `t:${tenant}:`
}

const escapeGlob = (text: string) => text.replace(/[\\*?[\]]/g, '\\$&')

/** For ids that may hold anything: braces choose the Cluster slot, and colons end a part of a key. */
const escapeId = (id: string) => id.replace(/[%{}:]/g, encodeURIComponent)
