import { langgraphNames } from '../keys.ts'
import type { Reply } from '../ports/redis.ts'

export interface StoredWrite {
  taskId: string
  /** Its number among those of the task; below zero for errors, interrupts and such, of which the last one counts. */
  index: number
  channel: string
  path: string
  value: string
}

/** A checkpoint as it lies in Redis: what LangGraph gave is text here. */
export interface StoredCheckpoint {
  namespace: string
  id: string
  checkpoint: string
  metadata: string
  parentId?: string
  /** By channel. */
  values: Map<string, string>
  /** In no order. */
  writes: StoredWrite[]
}

export interface CheckpointName {
  threadId: string
  namespace: string
  id: string
}

/** What `load-checkpoints` replied. */
export function toCheckpoints(reply: Reply): StoredCheckpoint[] {
  return (reply as [string, string[], (string | null)[]][]).map(([name, flat, texts]) => {
    const [namespace, id] = langgraphNames.read(name)
    const fields = new Map<string, string>()
    const writes: StoredWrite[] = []
    for (let i = 0; i < flat.length; i += 2) {
      const write = toWrite(flat[i]!, flat[i + 1]!)
      if (write) writes.push(write)
      else fields.set(flat[i]!, flat[i + 1]!)
    }
    const parent = fields.get('parent')
    const channels = JSON.parse(fields.get('values')!) as string[]
    const values = channels.map((value, i) => [langgraphNames.read(value)[1]!, texts[i]] as const)
    return {
      namespace: namespace!,
      id: id!,
      checkpoint: fields.get('checkpoint')!,
      metadata: fields.get('metadata')!,
      ...(parent !== undefined && { parentId: langgraphNames.read(parent)[1]! }),
      values: new Map(values.filter((one): one is [string, string] => typeof one[1] === 'string')),
      writes,
    }
  })
}

export function toName(threadId: string, name: string): CheckpointName {
  const [namespace, id] = langgraphNames.read(name)
  return { threadId, namespace: namespace!, id: id! }
}

/** Fields of writes begin with a number; no other does. */
export const toField = ({ index, taskId }: StoredWrite) => `${index} ${taskId}`

export const toContent = ({ channel, path, value }: StoredWrite) =>
  `${JSON.stringify([channel, path])}\n${value}`

function toWrite(field: string, content: string): StoredWrite | undefined {
  const [, index, taskId] = /^(-?\d+) (.*)$/s.exec(field) ?? []
  if (index === undefined) return undefined
  const end = content.indexOf('\n')
  const [channel, path] = JSON.parse(content.slice(0, end)) as [string, string]
  return { taskId: taskId!, index: Number(index), channel, path, value: content.slice(end + 1) }
}
