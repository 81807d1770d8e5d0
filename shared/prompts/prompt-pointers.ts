import { HubError } from '../errors.ts'
import { NAME } from '../keys.ts'

/** Which versions there are, and where labels point. */
export interface Pointers {
  first: number
  last: number
  labels: Record<string, number>
}

export const POINTER_FIELDS = ['first', 'last', 'labels'] as const

export function toPointers([first, last, labels]: (string | null)[]): Pointers | undefined {
  return first ? { first: Number(first), last: Number(last), labels: JSON.parse(labels!) } : undefined
}

/** By default the version that `production` points to, else the newest. */
export interface PromptSelector {
  version?: number
  /** `latest` always is the newest version. */
  label?: string
}

const LATEST = 'latest'

export function select(
  name: string,
  { first, last, labels }: Pointers,
  { version, label }: PromptSelector,
): number {
  if (version !== undefined && label !== undefined) {
    const message = 'Give a version or a label, not both.'
    throw new HubError({ code: 'invalid_value', status: 400, message, param: 'label' })
  }
  if (version !== undefined) {
    if (version < first || version > last) throw unknownVersion(name, version)
    return version
  }
  const target = own(labels, label ?? 'production')
  if (label === LATEST || (label === undefined && target === undefined)) return last
  if (target === undefined) throw unknownLabel(name, label!, labels)
  return target
}

const own = (labels: Record<string, number>, label: string) =>
  Object.hasOwn(labels, label) ? labels[label] : undefined

export const labelsOf = (labels: Record<string, number>, version: number) =>
  Object.keys(labels)
    .filter((label) => labels[label] === version)
    .sort()

export function checkLabel(label: string, param: string): void {
  if (NAME.test(label) && label !== LATEST) return
  const why =
    label === LATEST ? '`latest` is the newest version by itself' : 'must be 1 to 64 of A-Z a-z 0-9 _ . -'
  throw new HubError({ code: 'invalid_value', status: 400, message: `${param}: ${why}`, param })
}

const notFound = (code: string, param: string, message: string) =>
  new HubError({ code, status: 404, message, param })

export const unknownPrompt = (name: string) =>
  notFound('prompt_not_found', 'name', `There is no prompt ${name}. PUT /v1/prompts/${name} makes one.`)

export const unknownVersion = (name: string, version?: number) =>
  notFound('prompt_version_not_found', 'version', `The prompt ${name} has no version ${version}.`)

export const unknownLabel = (name: string, label: string, labels: Record<string, number>) => {
  const others = Object.keys(labels).sort().join(', ')
  return notFound(
    'prompt_label_not_found',
    'label',
    `The prompt ${name} has no label ${label}.${others && ` It has: ${others}.`}`,
  )
}
