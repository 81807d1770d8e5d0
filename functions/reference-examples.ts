import { bodyText, toCurl } from './examples/curl.ts'
import { type Example, FromReply, showing } from './examples/example.ts'
import { stories } from './examples/stories.ts'
import { describeParameter } from './reference-parameters.ts'

/** Of the OpenAPI document, as far as it is written to here. */
export interface Operation {
  operationId?: string
  security?: unknown[]
  parameters?: Parameter[]
  requestBody?: { required?: boolean; content: Record<string, Media> }
  responses?: Record<
    string,
    { description?: string; content?: Record<string, Media>; links?: Record<string, Link> }
  >
  'x-codeSamples'?: { lang: string; label: string; source: string }[]
}
interface Parameter {
  in: string
  name: string
  required?: boolean
  schema?: object
  description?: string
  example?: unknown
}
interface Media {
  schema?: object
  example?: unknown
  examples?: Record<string, { summary: string; value: unknown }>
}
interface Link {
  operationId?: string
  description: string
  parameters?: Record<string, unknown>
  requestBody?: unknown
}

/**
 * Puts the example of each route into its operation: values of parameters and body, and the command for a shell. What only another
 * reply knows is a link of that reply (OpenAPI’s Link Object), and a made up value in the example.
 */
export function addExamples(operations: ReadonlyMap<string, Operation>): void {
  for (const [route, example] of Object.entries(stories)) {
    const operation = operations.get(route)
    if (!operation) continue // of a function that is not deployed
    const [method = '', path = ''] = route.split(' ')
    addParameters(operation, example)
    addBody(operation, example)
    const source = toCurl(method, path, example, operation.security?.length === 0)
    operation['x-codeSamples'] = [{ lang: 'Shell', label: 'curl', source }]
    link(operations, operation, example)
  }
}

const sampleOf = (value: unknown) => showing(value, ({ sample }) => sample)

function addParameters(operation: Operation, { path = {}, query = {}, headers = {} }: Example) {
  operation.parameters ??= []
  const { parameters } = operation
  for (const [where, values] of Object.entries({ path, query, header: headers })) {
    for (const [name, value] of Object.entries(values)) {
      const known = parameters.find((one) => one.in === where && one.name === name)
      if (known) known.example = sampleOf(value)
      else {
        const told = { in: where, name, schema: { type: 'string' } }
        parameters.push({ ...told, description: describeParameter('', told), example: sampleOf(value) })
      }
    }
  }
}

/** The content type of the example comes first: readers show that one. */
function addBody(operation: Operation, { body, type = 'application/json', isBase64 }: Example) {
  if (body === undefined) return
  const { content = {}, ...rest } = operation.requestBody ?? { required: false }
  const example = sampleOf(body)
  const shown: Media = isBase64
    ? { examples: { bytes: { summary: 'Base64 of the bytes to send', value: example } } }
    : { example: typeof example === 'string' ? bodyText(example) : example }
  operation.requestBody = {
    ...rest,
    content: { [type]: { ...content[type], ...shown }, ...omit(content, type) },
  }
}

function link(operations: ReadonlyMap<string, Operation>, target: Operation, example: Example) {
  const { path = {}, query = {}, body } = example
  const expressionOf = (value: unknown) => showing(value, ({ expression }) => expression)
  const values = Object.entries({ ...path, ...query }).filter(([, value]) => value instanceof FromReply)
  const found = new Set<FromReply>()
  for (const [, value] of values) found.add(value as FromReply)
  showing(body, (from) => found.add(from))
  for (const { route, name } of found) {
    const responses = operations.get(route)?.responses ?? {}
    // Of several that succeed the later one tells more: 201 made it, 202 queued it.
    const status = Object.keys(responses).findLast((one) => /^2/.test(one))
    if (!status) continue
    const response = responses[status]!
    response.links = {
      ...response.links,
      [target.operationId!]: {
        operationId: target.operationId,
        description: `${name} of its example`,
        ...(values.length > 0 && {
          parameters: Object.fromEntries(values.map(([one, value]) => [one, expressionOf(value)])),
        }),
        ...(values.length === 0 && { requestBody: expressionOf(body) }),
      },
    }
  }
}

const omit = <T>(record: Record<string, T>, name: string): Record<string, T> =>
  Object.fromEntries(Object.entries(record).filter(([one]) => one !== name))
