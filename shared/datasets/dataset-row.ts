import { HubError } from '../errors.ts'
import { CLOCK_SKEW_MS } from '../features/features.ts'
import { newId } from '../ids.ts'

/** What a model was given and what it made of it. */
export interface NewRow {
  /** A row of the same id is recorded once; random by default. */
  id?: string
  /** When the features were served, Unix ms; now by default. */
  at?: number
  entity?: string
  /** As they were served: whatever becomes of them later, this is what a model is to be trained on. */
  features: Record<string, unknown>
  output?: unknown
  model?: string
  /** Known from `labelAt` on, Unix ms; now by default. */
  label?: unknown
  labelAt?: number
}

export interface NewLabel {
  /** Of the row. */
  id: string
  label: unknown
  /** From when on it was known, Unix ms; now by default. */
  at?: number
}

const LONGEST_ROW = 262_144
const LONGEST_LABEL = 4_096

export interface StoredRow {
  id: string
  at: number
  /** A line of the export, without its label. */
  json: string
  /** Its time, a space and its JSON; '' where there is none. */
  label: string
}

/** Throws 400 and 413 with the path. */
export function toStored(row: NewRow, now: number, param: string): StoredRow {
  const { id = newId(), at = now, entity, features, output, model, label, labelAt = now } = row
  checkTime(at, now, `${param}.at`)
  checkTime(labelAt, now, `${param}.label_at`)
  const json = JSON.stringify({ id, at: new Date(at).toISOString(), entity, features, output, model })
  if (json.length > LONGEST_ROW) throw tooLarge(param, 'A row', LONGEST_ROW)
  const known = label === undefined ? '' : `${labelAt} ${labelJson(label, `${param}.label`)}`
  return { id, at, json, label: known }
}

/** Throws 413. */
export function labelJson(label: unknown, param: string): string {
  const json = JSON.stringify(label)
  if (json.length > LONGEST_LABEL) throw tooLarge(param, 'A label', LONGEST_LABEL)
  return json
}

/** Throws 400. */
export function checkTime(at: number, now: number, param: string) {
  if (at > now + CLOCK_SKEW_MS) throw invalid(param, `is more than ${CLOCK_SKEW_MS / 60_000} minutes ahead`)
}

const invalid = (param: string, what: string) =>
  new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${what}.`, param })

const tooLarge = (param: string, what: string, characters: number) =>
  new HubError({
    code: 'row_too_large',
    status: 413,
    message: `${param}: ${what} has at most ${characters} characters of JSON.`,
    param,
  })
