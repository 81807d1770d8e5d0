import type { Operation } from '../../functions/reference-examples.ts'

export type { Operation }

export interface Document {
  paths: Record<string, Record<string, Operation>>
  components: Record<string, object>
}

/** By `METHOD /path`. */
export const operationsOf = ({ paths }: Document): Map<string, Operation> =>
  new Map(
    Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, one]) => [`${method.toUpperCase()} ${path}`, one] as const),
    ),
  )

type Links = NonNullable<Operation['responses']>[string]['links']

/** Follows the links of replies: what they said that other operations need. */
export function createFollow() {
  const told = new Map<string, { parameters: Record<string, string>; requestBody?: unknown }>()
  return {
    told,
    /** The values by the name that links give them. */
    take(links: Links, headers: Headers, body: unknown): Record<string, string> {
      const named: Record<string, string> = {}
      for (const [target, { description, parameters = {}, requestBody }] of Object.entries(links ?? {})) {
        const read = (text: unknown) => {
          const value = valueAt(text, headers, body)
          if (value !== text) named[description.split(' ')[0]!] = String(value)
          return value
        }
        const known = told.get(target) ?? { parameters: {} }
        for (const [name, text] of Object.entries(parameters)) known.parameters[name] = String(read(text))
        if (requestBody !== undefined) {
          const given = Object.entries(requestBody as object).map(([name, text]) => [name, read(text)])
          known.requestBody = Object.fromEntries(given)
        }
        told.set(target, known)
      }
      return named
    },
  }
}

/** What the document shows of an operation, with what links of earlier replies say in the place of made up values. */
export function toRequest(
  route: string,
  { operationId = '', parameters = [], requestBody }: Operation,
  { told }: Pick<ReturnType<typeof createFollow>, 'told'>,
): { path: string; init: RequestInit } {
  const [method, template = ''] = route.split(' ')
  const known = told.get(operationId)
  const values = (where: string) =>
    parameters.flatMap((one): [string, string][] => {
      const value = known?.parameters[one.name] ?? one.example
      return one.in === where && value !== undefined ? [[one.name, String(value)]] : []
    })
  const places = Object.fromEntries(values('path'))
  const path = template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(places[name] ?? ''))
  const query = new URLSearchParams(values('query'))
  const [type, media] = Object.entries(requestBody?.content ?? {})[0] ?? []
  const [bytes] = Object.values(media?.examples ?? {})
  const shown = known?.requestBody ?? media?.example
  const body = bytes ? Buffer.from(String(bytes.value), 'base64') : toText(shown)
  const headers = new Headers(values('header'))
  if (type && body !== undefined) headers.set('content-type', type)
  return { path: query.size > 0 ? `${path}?${query}` : path, init: { method, headers, body } }
}

const toText = (shown: unknown) =>
  typeof shown === 'string' || shown === undefined ? shown : JSON.stringify(shown, null, 2)

/** By a runtime expression of OpenAPI; other values are what they are. */
function valueAt(text: unknown, headers: Headers, body: unknown): unknown {
  if (typeof text !== 'string' || !text.startsWith('$response.')) return text
  const [, header, pointer = ''] = /^\$response\.(?:header\.(.+)|body#(.+))$/.exec(text) ?? []
  if (header) return headers.get(header)
  const names = pointer.split('/').slice(1)
  return names.reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], body)
}
