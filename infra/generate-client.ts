import { wire } from './wire.ts'

interface Schema {
  $ref?: string
  type?: string | string[]
  const?: unknown
  enum?: unknown[]
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  items?: Schema
  prefixItems?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: Schema | boolean
  propertyNames?: Schema
  description?: string
}
interface Parameter {
  in: string
  name: string
  required?: boolean
  schema?: Schema
  description?: string
}
type Content = Record<string, { schema?: Schema }>
interface Operation {
  summary?: string
  description?: string
  parameters?: Parameter[]
  requestBody?: { required?: boolean; content: Content }
  responses?: Record<string, { content?: Content }>
}
interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas?: Record<string, Schema> }
}

/** `infra/client/routes.generated.ts`: the types of every route, from the document at `/openapi.json`. */
export async function clientRoutes(): Promise<string> {
  const { paths, components } = await openApiDocument()
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...{ route: `${method.toUpperCase()} ${path}`, operation },
    })),
  )
  const having = (header: string) =>
    operations.flatMap(({ route, operation: { parameters = [] } }) =>
      parameters.some((one) => one.in === 'header' && one.name === header) ? [`'${route}'`] : [],
    )
  const schemas = Object.entries(components.schemas ?? {}).map(
    ([name, schema]) => `\n${comment(schema.description)}type ${typeName(name)} = ${typeOf(schema)}\n`,
  )
  const routes = operations.map(
    ({ route, operation }) =>
      `${comment(operation.summary, operation.description)}'${route}': ${typeOfRoute(operation)}\n`,
  )
  return `// Made from the hub's OpenAPI document by \`npm run generate\`. Do not edit.

/** What each route takes and gives. */
export interface Routes {
${routes.join('')}}

/** Routes that honour \`Idempotency-Key\`. */
export const ONCE: (keyof Routes)[] = [
  ${having('Idempotency-Key').join(',\n  ')},
]

/** Routes whose write is refused when a later holder of the caller's lock wrote. */
export type FencedRoute = ${union(having('x-hub-lock'))}

/** A reply that the client reads as events. */
export interface EventStream {
  readonly stream: true
}
${schemas.join('')}`
}

/** Of all functions; nothing connects for it. */
async function openApiDocument(): Promise<Document> {
  const nothing = { info() {}, error() {} }
  const env = { REDIS_URL: 'redis://127.0.0.1:1' }
  const hub = wire(env, { sharesRequests: false, tallyDelayMs: 0, keySecret: 'none', log: nothing })
  const headers = { host: 'localhost' }
  const reply = await hub.app.request('http://localhost/openapi.json', { headers }, { defer() {} })
  await hub.close()
  return (await reply.json()) as Document
}

function typeOfRoute({ parameters = [], requestBody, responses = {} }: Operation): string {
  const of = (where: string) => parameters.filter((one) => one.in === where)
  const fields = [
    ...group('path', of('path')),
    ...group('query', of('query')),
    ...(requestBody ? bodyFields(requestBody) : []),
    `reply: ${replyType(responses)}`,
  ]
  return `{ ${fields.join('; ')} }`
}

function group(name: string, parameters: Parameter[]): string[] {
  if (parameters.length === 0) return []
  const isOptional = parameters.every((one) => one.in !== 'path' && !one.required)
  const fields = parameters.map((one) => {
    const type = one.schema && Object.keys(one.schema).length > 0 ? typeOf(one.schema) : 'string'
    return `${comment(one.description ?? one.schema?.description)}${property(one.name)}${one.in === 'path' || one.required ? '' : '?'}: ${type}`
  })
  return [`${name}${isOptional ? '?' : ''}: { ${fields.join('; ')} }`]
}

/** `body` is JSON; `raw` are the other content types that the route reads. */
function bodyFields({ content, required }: NonNullable<Operation['requestBody']>): string[] {
  const { 'application/json': json, ...others } = content
  const raw = Object.keys(others).map((type) => (type === '*/*' ? 'string' : `'${type}'`))
  return [
    ...(json ? [`body${required === false ? '?' : ''}: ${typeOf(json.schema ?? {})}`] : []),
    ...(raw.length > 0 ? [`raw: ${raw.includes('string') ? 'string' : raw.join(' | ')}`] : []),
  ]
}

function replyType(responses: NonNullable<Operation['responses']>): string {
  const good = Object.entries(responses).filter(([status]) => /^2/.test(status))
  const types = good.flatMap(([, { content }]) => {
    if (!content || Object.keys(content).length === 0) return ['undefined']
    const { 'application/json': json, ...others } = content
    const other = Object.keys(others).map((type) =>
      type === 'text/event-stream' ? 'EventStream' : 'Response',
    )
    return [...(json ? [typeOf(json.schema ?? {})] : []), ...other]
  })
  return union(types.length > 0 ? types : ['unknown'])
}

function typeOf(schema: Schema): string {
  const { type } = schema
  if (schema.$ref) return typeName(schema.$ref.split('/').at(-1)!)
  if ('const' in schema) return JSON.stringify(schema.const)
  if (schema.enum) return union(schema.enum.map((value) => JSON.stringify(value)))
  const some = schema.anyOf ?? schema.oneOf
  if (some) return union(some.map(typeOf))
  if (schema.allOf) return schema.allOf.map((one) => `(${typeOf(one)})`).join(' & ')
  if (Array.isArray(type)) return union(type.map((one) => typeOf({ ...schema, type: one })))
  if (type === 'integer' || type === 'number') return 'number'
  if (type === 'string' || type === 'boolean' || type === 'null') return type
  if (type === 'array' && schema.prefixItems) return `[${schema.prefixItems.map(typeOf).join(', ')}]`
  if (type === 'array') return `Array<${typeOf(schema.items ?? {})}>`
  return type === 'object' || schema.properties ? typeOfObject(schema) : 'unknown'
}

function typeOfObject({
  properties = {},
  required = [],
  additionalProperties: more = true,
  propertyNames,
}: Schema) {
  const fields = Object.entries(properties).map(
    ([name, one]) =>
      `${comment(one.description)}${property(name)}${required.includes(name) ? '' : '?'}: ${typeOf(one)}`,
  )
  const value = typeof more === 'object' && Object.keys(more).length > 0 ? typeOf(more) : 'unknown'
  const names = propertyNames?.enum && `{ [name in ${typeOf(propertyNames)}]?: ${value} }`
  if (fields.length === 0) return names ?? (more === false ? '{}' : `{ [name: string]: ${value} }`)
  const own = `{ ${fields.join('; ')} }`
  // A reply may have more than is told, and an index would hide slips of the keyboard; only what is said to be open is.
  return more === true || more === false ? own : `${own} & { [name: string]: ${value} }`
}

const union = (types: string[]) => [...new Set(types)].join(' | ') || 'never'
const property = (name: string) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name))
/** Recursive schemas without a name are all of them `z.json()`. */
const typeName = (name: string) =>
  name.startsWith('__schema') ? `Json${name.slice('__schema'.length)}` : name

function comment(...lines: (string | undefined)[]): string {
  const said = lines.filter((line) => line !== undefined).join(' · ')
  return said === '' ? '' : `\n/** ${said.replaceAll('*/', '*\\/')} */\n`
}
