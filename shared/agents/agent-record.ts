import type {
  AgentSettings,
  AgentState,
  AgentStatus,
  ChatMessage,
  InboxMessage,
  ShownWaiting,
  StepRecord,
  Waiting,
} from './agent.ts'

/** An agent as Redis holds it. */
export interface AgentRecord {
  settings: AgentSettings
  /** Of this agent, and of no other one that had its id. */
  made: string
  version: number
  status: AgentStatus
  /** Number of the last step that began. */
  steps: number
  state: AgentState
  /** Whose key it acts by. */
  keyId: string | null
  /** Somebody goes on until its run is over. */
  drive: boolean
  /** Of the step that runs: its operation, and how often it was begun. */
  operation?: { hash: string; print: string }
  attempts: number
  /** Of the step that runs: Unix ms. */
  claimedUntil: number
  /** The executors' list knows its settings. */
  listed: boolean
  createdAt: string
  updatedAt: string
}

/** Of HGETALL. Undefined where there is none, or its tombstone. */
export function readAgent(flat: readonly string[]): AgentRecord | undefined {
  const fields: Record<string, string> = {}
  for (let i = 0; i < flat.length; i += 2) fields[flat[i]!] = flat[i + 1]!
  if (fields.made === undefined || fields.deleted !== undefined) return undefined
  return {
    settings: JSON.parse(fields.settings!),
    made: fields.made,
    version: Number(fields.version),
    status: fields.status as AgentStatus,
    steps: Number(fields.steps),
    state: JSON.parse(fields.state!),
    keyId: fields.key_id || null,
    drive: fields.drive === '1',
    ...(fields.open && { operation: { hash: fields.open, print: fields.print! } }),
    attempts: Number(fields.attempts ?? 0),
    claimedUntil: Number(fields.until ?? 0),
    listed: fields.listed === '1',
    createdAt: fields.created_at!,
    updatedAt: fields.updated_at!,
  }
}

export type StreamReply = [id: string, fields: string[]][]

/** Entries of a stream that hold JSON in one field. */
export const readEntries = <T>(entries: StreamReply, field = 'message'): { id: string; value: T }[] =>
  entries.map(([id, fields]) => ({ id, value: JSON.parse(fields[fields.indexOf(field) + 1]!) }))

export const readMemory = (entries: StreamReply) =>
  readEntries<ChatMessage>(entries).map(({ value }) => value)

export const readInbox = (entries: StreamReply) =>
  readEntries<InboxMessage>(entries).map(({ id, value }) => ({ entry: id, ...value }))

export type Received = ReturnType<typeof readInbox>[number]

export function showWaiting(waiting: Waiting): ShownWaiting {
  if (waiting.for === 'approval' || waiting.until === undefined) return waiting as ShownWaiting
  return { ...waiting, until: new Date(waiting.until).toISOString() }
}

/** Of the journal. */
export function readSteps(entries: StreamReply): StepRecord[] {
  return entries.map(([, fields]) => {
    const { version, record } = Object.fromEntries(
      fields.flatMap((name, i) => (i % 2 ? [] : [[name, fields[i + 1]!]])),
    )
    return { ...JSON.parse(record!), version: Number(version) }
  })
}
