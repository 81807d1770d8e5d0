import type { MiddlewareHandler } from 'hono'
import type { App, Log } from '../functions/deps.ts'
import type { RunStep } from '../shared/agents/step.ts'
import type { Tools } from '../shared/agents/tools/tool.ts'
import type { Observe } from '../shared/completions/completion-record.ts'
import type { Chat } from '../shared/ports/chat.ts'
import type { Embedder } from '../shared/ports/embedder.ts'
import type { Outgoing } from '../shared/ports/outgoing.ts'
import type { Env } from './env.ts'
import { sharedGauges } from './telemetry/gauges.ts'
import { observeRequests } from './telemetry/requests.ts'
import { tracedRunStep, tracedTools } from './telemetry/traced-agents.ts'
import { createTracedChat, tracedEmbedder, tracedOutgoing } from './telemetry/traced-calls.ts'
import { tracedConnections } from './telemetry/traced-redis.ts'
import type { Connections, Rim } from './wire.ts'

/** How the hub is watched: each port decorated where the rim has telemetry, and as it is where it has none. */
export interface Watch {
  connections(connections: Connections): Connections
  chat(chat: Chat): Chat
  embedder(embedder: Embedder): Embedder
  outgoing(outgoing: Outgoing): Outgoing
  runStep(runStep: RunStep): RunStep
  tools(tools: Tools): Tools
  observe: Observe | undefined
  /** Of every request. */
  middleware: MiddlewareHandler<App> | undefined
  /** What is looked up when somebody asks for metrics. */
  sample(of: Omit<Parameters<typeof sharedGauges>[0], 'byTenant'>): void
}

export function wireTelemetry(
  env: Env,
  { telemetry = {}, log }: Pick<Rim, 'telemetry'> & { log: Log },
): Watch {
  const { tracing, metrics } = telemetry
  const accessLog = env.HUB_ACCESS_LOG === 'on' ? log : undefined
  const watched = { tracing, metrics, accessLog }
  return {
    connections: tracing || metrics ? (all) => tracedConnections(all, watched) : same,
    chat: tracing ? createTracedChat(tracing.captureContent) : same,
    embedder: tracing ? tracedEmbedder : same,
    outgoing: tracing ? tracedOutgoing : same,
    runStep: tracing ? tracedRunStep : same,
    tools: tracing ? (tools) => tracedTools(tools, tracing.captureContent) : same,
    observe: metrics && ((record) => void metrics.completion(record)),
    middleware: tracing || metrics || accessLog ? observeRequests(watched) : undefined,
    sample(of) {
      const byTenant = env.HUB_METRICS_TENANTS === 'on'
      for (const source of sharedGauges({ ...of, byTenant })) metrics?.sample(source)
    },
  }
}

const same = <T>(one: T) => one
