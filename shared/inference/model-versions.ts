import { HubError } from '../errors.ts'
import { NAME } from '../keys.ts'

/** What there is of a model: SHA-256 by version, and where labels lead. */
export interface ModelVersions {
  versions: ReadonlyMap<string, string>
  labels: ReadonlyMap<string, string>
}

export const NO_VERSIONS: ModelVersions = { versions: new Map(), labels: new Map() }

/** Leads those who name no version. */
const STABLE = 'stable'

const MOST_VERSIONS = 200
const MOST_LABELS = 100

/** In JSON, as Redis holds it; '' for no version at all. */
export const toText = ({ versions, labels }: ModelVersions): string =>
  versions.size === 0
    ? ''
    : JSON.stringify({ versions: Object.fromEntries(versions), labels: Object.fromEntries(labels) })

export function fromText(text: string | null): ModelVersions | undefined {
  if (!text) return undefined
  const { versions, labels } = JSON.parse(text)
  return { versions: new Map(Object.entries(versions)), labels: new Map(Object.entries(labels)) }
}

/**
 * The version that somebody means: one of that name, else where the label of that name leads; without a name the label `stable`, else
 * the greatest version. 404 `model_version_not_found`.
 */
export function selectVersion(model: string, { versions, labels }: ModelVersions, wanted?: string): string {
  if (wanted === undefined) return labels.get(STABLE) ?? sortVersions(versions)[0]!
  const found = versions.has(wanted) ? wanted : labels.get(wanted)
  if (found !== undefined) return found
  throw unknownVersion(model, wanted)
}

/** The greatest first; numbers in names count as numbers: 10 is above 9, 1.10 above 1.9. */
export const sortVersions = (versions: ModelVersions['versions']): string[] =>
  [...versions.keys()].sort((a, b) => COLLATOR.compare(b, a) || (a < b ? 1 : -1))

const COLLATOR = new Intl.Collator('en', { numeric: true })

/** Throws 409 where it is there with other bytes, is a label's name, or there are too many. */
export function withVersion(
  model: string,
  { versions, labels }: ModelVersions,
  version: string,
  sha256: string,
): ModelVersions {
  if (versions.get(version) === sha256) return { versions, labels }
  if (versions.has(version)) throw otherBytes(model, version)
  if (labels.has(version)) throw taken(`The model ${model} has a label ${version}.`, 'version')
  if (versions.size >= MOST_VERSIONS) throw tooMany(model, 'versions', MOST_VERSIONS)
  return { versions: new Map(versions).set(version, sha256), labels }
}

/** Throws 409 while a label leads to it. */
export function withoutVersion(
  model: string,
  { versions, labels }: ModelVersions,
  version: string,
): ModelVersions {
  const pointing = [...labels.keys()].filter((label) => labels.get(label) === version)
  if (pointing.length > 0) {
    const message = `Of the model ${model}, ${pointing.join(', ')} leads to version ${version}. Move that label first.`
    throw new HubError({ code: 'version_in_use', status: 409, message, param: 'version' })
  }
  return { versions: new Map([...versions].filter(([name]) => name !== version)), labels }
}

/** Throws 404 for a version that is not there, 409 where a version has the label's name or there are too many. */
export function withLabel(
  model: string,
  { versions, labels }: ModelVersions,
  label: string,
  version: string,
): ModelVersions {
  if (!versions.has(version)) throw unknownVersion(model, version)
  if (versions.has(label)) throw taken(`The model ${model} has a version ${label}.`, 'label')
  if (!labels.has(label) && labels.size >= MOST_LABELS) throw tooMany(model, 'labels', MOST_LABELS)
  return { versions, labels: new Map(labels).set(label, version) }
}

/** Throws 404 for a label that is not there. */
export function withoutLabel(
  model: string,
  { versions, labels }: ModelVersions,
  label: string,
): ModelVersions {
  if (!labels.has(label)) {
    const message = `The model ${model} has no label ${label}.`
    throw new HubError({ code: 'model_label_not_found', status: 404, message, param: 'label' })
  }
  return { versions, labels: new Map([...labels].filter(([name]) => name !== label)) }
}

/** Throws 400. */
export function checkName(name: string, param: 'model' | 'version' | 'label'): void {
  if (NAME.test(name)) return
  const message = `${param}: must be 1 to 64 of A-Z a-z 0-9 _ . -`
  throw new HubError({ code: 'invalid_value', status: 400, message, param })
}

export const unknownModel = (model: string) =>
  new HubError({
    code: 'model_not_found',
    status: 404,
    message: `There is no model ${model}. PUT /v2/models/${model}/versions/1 makes one.`,
    param: 'model',
  })

export const unknownVersion = (model: string, version: string) =>
  new HubError({
    code: 'model_version_not_found',
    status: 404,
    message: `The model ${model} has no version ${version}. GET /v2/models/${model} lists what it has.`,
    param: 'version',
  })

export const otherBytes = (model: string, version: string) =>
  new HubError({
    code: 'version_exists',
    status: 409,
    message: `Version ${version} of the model ${model} is there with other bytes, and versions never change. Take a new one.`,
    param: 'version',
  })

const taken = (message: string, param: string) =>
  new HubError({ code: 'name_taken', status: 409, message: `${message} Take another name.`, param })

const tooMany = (model: string, what: string, most: number) =>
  new HubError({
    code: `too_many_${what}`,
    status: 409,
    message: `The model ${model} has ${most} ${what}, and can have no more. Delete one first.`,
  })
