import type { ToolSetting } from './tools/tool.ts'

/** What `PUT /v1/agents/{id}` takes. */
export interface AgentSettings {
  role: 'planner' | 'executor' | 'custom'
  /** Of each run: from an input to the end. */
  limits?: AgentLimits
  /** `provider/model`, a bare name, or a model route; HUB_AGENT_MODEL by default. */
  model?: string
  /** The system message. */
  instructions?: string
  tools?: readonly ToolSetting[]
  /** Kinds of tasks that an executor takes; any by default. */
  topics?: readonly string[]
  memory?: {
    /** Of working memory: what is older is summed up. Default 8,000. */
    max_tokens?: number
    /** What users say is looked through for lasting facts. Default false. */
    extract?: boolean
  }
}

interface AgentLimits {
  /** Default 50. */
  steps?: number
  /** Of all model calls, what they read and what they write. */
  tokens?: number
  /** USD. */
  cost?: number
  /** Wall time. */
  seconds?: number
}

export type AgentStatus = 'idle' | 'running' | 'waiting' | 'done' | 'failed' | 'needs_attention'

/** What an agent waits for. */
export type Waiting =
  | { for: 'time'; until: number }
  /** Without a type: any message. `until`, Unix ms: it goes on without. */
  | { for: 'event'; type?: string; until?: number }
  /** Until every task that it gave away has reported. */
  | { for: 'tasks'; until?: number }
  | { for: 'approval'; calls: PendingCall[] }

/** As it is shown: its time by RFC 3339. */
export type ShownWaiting =
  | (Omit<Exclude<Waiting, { for: 'approval' }>, 'until'> & { until?: string })
  | Extract<Waiting, { for: 'approval' }>

/** A tool call that a person must decide on. */
export interface PendingCall extends ModelToolCall {
  /** Of the step that asked for it: part of its idempotency key. */
  step: number
  n: number
  /** `approval`: it has not begun. `unknown`: it began, nobody knows how it ended, and the tool is not idempotent. */
  why: 'approval' | 'unknown'
}

/** What somebody sends to an agent, and what it takes up in its next step. */
export interface InboxMessage {
  /** Sent again with it within a day, it is one message. */
  id: string
  type: 'input' | 'message' | 'task' | 'task-result' | 'event'
  /** `agent:<id>`, `webhook:<source>`, `schedule:<name>`, `stream:<name>`, `key:<id>`. */
  from?: string
  /** Of an event: what `wait` may name. */
  event_type?: string
  /** Text, or JSON. */
  data: unknown
  task?: TaskRef
  /** On calls that wait for a person. */
  decisions?: Decision[]
  /** W3C trace context of who sent it, where that is traced. */
  traceparent?: string
}

/** What a person says to a pending call. */
export interface Decision {
  call_id: string
  /** Run it; refuse it; run again what may have run already; take `output` for its result. */
  action: 'approve' | 'reject' | 'retry' | 'result'
  output?: string
  reason?: string
}

/** Which attempt at which task. */
export interface TaskRef {
  id: string
  attempt: number
}

/** What an agent knows between two steps, beside its working memory. */
export interface AgentState {
  /** From an input to the end: what `limits` are about. */
  run?: { started: number; steps: number; tokens: number; cost: number }
  waiting?: Waiting
  task?: TaskRef
  /** Given away and not reported yet. */
  tasks?: string[]
  /** Of the conversation before working memory. */
  summary?: string
  error?: { code: string; message: string }
}

/** A message of working memory: OpenAI's chat message. */
export interface ChatMessage {
  role: 'user' | 'assistant' | 'tool'
  content: string | null
  tool_calls?: { id: string; type: 'function'; function: { name: string; arguments: string } }[]
  tool_call_id?: string
}

/** As a model asks for it. */
export interface ModelToolCall {
  id: string
  name: string
  /** JSON, as the model wrote it. */
  arguments: string
}

/** How a tool call went. */
export interface ToolCallRecord extends ModelToolCall {
  status: 'ok' | 'error' | 'rejected' | 'pending'
  /** What the model reads. */
  output: string
  /** From the tool's cache. */
  cached?: boolean
  ms: number
}

/** What an agent's journal holds of a step, and what its caller gets. */
export interface StepRecord {
  step: number
  status: AgentStatus
  /** What the model said. */
  output: string | null
  tool_calls: ToolCallRecord[]
  /** Of the agent, after this step. */
  version: number
  /** Tokens and USD of the step's model calls. */
  usage: { tokens: number; cost: number }
  /** Ids of the messages that it took up. */
  messages: string[]
  waiting?: ShownWaiting
  task?: TaskRef
  error?: { code: string; message: string }
  /** RFC 3339. */
  started_at: string
  finished_at: string
}
