import type { Reply } from '../../shared/ports/redis.ts'

/** What INFO says, by field; empty where the user may not ask. */
export type Info = Map<string, string>

export const readInfo = (text: Reply): Info =>
  new Map([...String(text ?? '').matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name, value]) => [name!, value!]))
