import { createHash } from 'node:crypto'
import type { Metadata } from '../retrieval/documents.ts'
import type { SourceAnswer } from './fetch-source.ts'

/** How far a source has been read; whatever its reader needs to go on. */
export type Cursor = Record<string, unknown>

/** A part of what a source has. */
export interface PulledPage {
  items: PulledItem[]
  /** Where to go on once the items are taken in. */
  cursor: Cursor
  /** Another page follows. */
  more: boolean
  /** Items that are read and handed on together: few where each is an answer of its own. */
  together: number
}

export interface PulledItem {
  /** The same whenever the source shows it. */
  id: string
  /** With the id it tells whether the item was pulled already: changes where it shall be pulled again. */
  mark: string
  time?: string
  subject?: string
  /** Of the event. */
  data(): Promise<unknown>
  /** For an index. */
  document(): Promise<{ text: string; metadata: Metadata }>
}

export interface PullContext {
  /** Within the source's bounds, and with its headers where it is of its own origin. */
  get(url: URL, headers?: Headers): Promise<SourceAnswer>
  /** An index wants to know what has changed, a stream what is new. */
  forIndex: boolean
  signal: AbortSignal
  /** Unix ms */
  now: number
}

/** Reads a source from where the cursor points, page after page; whoever reads decides when it is enough. */
export type Pull<Source> = (
  source: Source,
  cursor: Cursor,
  context: PullContext,
) => AsyncGenerator<PulledPage>

/** Of items that came in one answer. */
export const TOGETHER = 100

/** Sixteen characters that stand for a text. */
export const shortHash = (text: string): string =>
  createHash('sha256').update(text).digest('base64url').slice(0, 16)

/** Long ids become their hash: events have room for 2,048 characters, documents for 512. */
export const boundedId = (id: string): string => {
  const isFit = id.length <= 512 && id.isWellFormed() && !/[\u0000-\u001f\u007f-\u009f]/.test(id)
  return isFit ? id : `sha256:${createHash('sha256').update(id).digest('hex')}`
}

/** RFC 3339 where it is a time at all. */
export function toTime(value: unknown): string | undefined {
  if (typeof value === 'number') {
    const ms = value < 1e11 ? value * 1_000 : value // seconds, or milliseconds from 1973 on
    return Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : undefined
  }
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString()
}
