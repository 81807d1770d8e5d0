import type { Hono } from 'hono'
import type { Admission, Caller, Claim } from '../shared/admission.ts'
import type { AgentMail } from '../shared/agents/agent-mail.ts'
import type { Agents } from '../shared/agents/agents.ts'
import type { Drive } from '../shared/agents/drive.ts'
import type { Knowledge } from '../shared/agents/knowledge.ts'
import type { LongMemory } from '../shared/agents/memory/memory.ts'
import type { TaskBoard } from '../shared/agents/tasks/tasks.ts'
import type { AlertRules } from '../shared/alerts/alert-rules.ts'
import type { Audit } from '../shared/audit/audit.ts'
import type { CompletionCache } from '../shared/completions/completion-cache.ts'
import type { Look } from '../shared/completions/completion-look.ts'
import type { Completions } from '../shared/completions/completions.ts'
import type { ConfigWatch } from '../shared/configuration/config-watch.ts'
import type { Configuration } from '../shared/configuration/configuration.ts'
import type { DashboardSessions } from '../shared/dashboard-session.ts'
import type { DatasetReader } from '../shared/datasets/dataset-reader.ts'
import type { Datasets } from '../shared/datasets/datasets.ts'
import type { Skew } from '../shared/datasets/skew-report.ts'
import type { Embeddings } from '../shared/embeddings/embeddings.ts'
import type { DeadEvents } from '../shared/events/dead-events.ts'
import type { HandlerSecrets } from '../shared/events/handler-secrets.ts'
import type { EventHandlers } from '../shared/events/handlers.ts'
import type { Intake } from '../shared/events/intake.ts'
import type { Results } from '../shared/events/results.ts'
import type { Streams } from '../shared/events/streams.ts'
import type { FeatureViews } from '../shared/features/feature-views.ts'
import type { Features } from '../shared/features/features.ts'
import type { HttpGateway } from '../shared/http-gateway/http-gateway.ts'
import type { HttpRoutes } from '../shared/http-gateway/http-routes.ts'
import type { HubKeys } from '../shared/hub-keys.ts'
import type { Infer } from '../shared/inference/infer.ts'
import type { Models } from '../shared/inference/models.ts'
import type { Oip } from '../shared/inference/oip.ts'
import type { Pipelines } from '../shared/inference/pipelines/pipelines.ts'
import type { Serving } from '../shared/inference/serving.ts'
import type { Locks } from '../shared/locks/locks.ts'
import type { Budgets } from '../shared/metering/budgets.ts'
import type { Usage } from '../shared/metering/usage.ts'
import type { Breakers } from '../shared/models/breakers.ts'
import type { ModelRouter } from '../shared/models/model-router.ts'
import type { ModelRoutes } from '../shared/models/model-routes.ts'
import type { Overview } from '../shared/overview/overview.ts'
import type { Assets } from '../shared/ports/assets.ts'
import type { Clock } from '../shared/ports/clock.ts'
import type { Outgoing } from '../shared/ports/outgoing.ts'
import type { Redis } from '../shared/ports/redis.ts'
import type { PreferenceTypes } from '../shared/preferences/preference-types.ts'
import type { PreferencesStore } from '../shared/preferences/preferences.ts'
import type { Prompts } from '../shared/prompts/prompts.ts'
import type { Queues } from '../shared/queues/queues.ts'
import type { ChannelTokens } from '../shared/realtime/channel-access.ts'
import type { Presence } from '../shared/realtime/presence.ts'
import type { Readers } from '../shared/realtime/readers.ts'
import type { Realtime } from '../shared/realtime/realtime.ts'
import type { RequestLog } from '../shared/request-log/request-log.ts'
import type { Responses } from '../shared/responses/responses.ts'
import type { Ask } from '../shared/retrieval/ask.ts'
import type { Documents } from '../shared/retrieval/documents.ts'
import type { ExtractText } from '../shared/retrieval/extract-text.ts'
import type { Indexes } from '../shared/retrieval/indexes.ts'
import type { Jobs } from '../shared/retrieval/jobs.ts'
import type { Search } from '../shared/retrieval/search.ts'
import type { Sweeps } from '../shared/retrieval/sweeps.ts'
import type { ScheduleRunner } from '../shared/schedules/schedule-runner.ts'
import type { Schedules } from '../shared/schedules/schedules.ts'
import type { Services } from '../shared/services/services.ts'
import type { Sessions } from '../shared/sessions/sessions.ts'
import type { DeadLetters } from '../shared/streams/dead-letters.ts'
import type { Erasures } from '../shared/tenants/erasures.ts'
import type { TenantExport } from '../shared/tenants/tenant-export.ts'
import type { WebhookSources } from '../shared/webhooks/webhook-sources.ts'
import type { RunningAct } from './acts.ts'

/** What `infra/wire.ts` builds and every function picks from. */
export interface Deps {
  redis: Redis
  clock: Clock
  admission: Admission
  audit: Audit
  sessions: Sessions
  preferences: PreferencesStore
  preferenceTypes: PreferenceTypes
  hubKeys: HubKeys
  dashboardSessions: DashboardSessions
  complete: Completions
  hashOf: Look['hashOf']
  completionCache: CompletionCache
  responses: Responses
  embeddings: Embeddings
  indexes: Indexes
  documents: Documents
  sweeps: Sweeps
  extractText: ExtractText
  jobs: Jobs
  search: Search
  ask: Ask
  modelRoutes: ModelRoutes
  modelRouter: ModelRouter
  breakers: Breakers
  locks: Locks
  services: Services
  configuration: Configuration
  watchConfig: ConfigWatch
  budgets: Budgets
  usage: Usage
  prompts: Prompts
  realtime: Realtime
  readers: Readers
  presence: Presence
  channelTokens: ChannelTokens
  streams: Streams
  webhookSources: WebhookSources
  schedules: Schedules
  scheduleRunner: ScheduleRunner
  alertRules: AlertRules
  deadDeliveries: DeadLetters
  intake: Intake
  deadEvents: DeadEvents
  eventHandlers: EventHandlers
  handlerSecrets: HandlerSecrets
  results: Results
  queues: Queues
  models: Models
  serving: Serving
  infer: Infer
  oip: Oip
  pipelines: Pipelines
  featureViews: FeatureViews
  features: Features
  datasets: Datasets
  datasetReader: DatasetReader
  skew: Skew
  agents: Agents
  agentDrive: Drive
  agentMail: AgentMail
  longMemory: LongMemory
  tasks: TaskBoard
  knowledge: Knowledge
  erasures: Erasures
  exportTenant: TenantExport
  httpRoutes: HttpRoutes
  httpGateway: HttpGateway
  outgoing: Outgoing
  overview: Overview
  requestLog: RequestLog
  /** The pages of the face; undefined where the runtime has none. */
  assets?: Assets
  /** What this process counted, in Prometheus' text format; undefined where it counts nothing. */
  metrics?: { prometheus(): Promise<string> }
  log: Log
  version: string
  /** All routes that are deployed here, for a function that asks others as a client would; set by `createApp`. */
  hub: Pick<Hono<App>, 'fetch' | 'routes'>
}

export interface Log {
  info(line: Record<string, unknown>): void
  error(line: Record<string, unknown>): void
}

/** Hono's types of every app here. */
export interface App {
  Bindings: {
    /** The rim keeps the runtime alive for it: waitUntil on Workers, finished before return on Lambda. */
    defer(work: Promise<unknown>): void
    /** The address that the connection came from, where the rim sees it: never what a header claims. */
    clientAddress?: string
  }
  Variables: {
    requestId: string
    /** Set by `claimed`. */
    claim: Claim
    /** Set by `admitted`. */
    caller: Caller
    audit: Audit
    /** Set by `beginAct`. */
    act?: RunningAct
    /** Of whoever is signed in to the dashboard, set where a page of the hub itself asks. */
    session?: string
  }
}
