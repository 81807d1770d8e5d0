type Schema = Record<string, unknown>

/**
 * The smallest value that a JSON Schema of the kind that tools and structured outputs use accepts: required properties
 * only, the first alternative, the least length. Patterns and formats are not met.
 *
 * @example minimalJson({ type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }) // { city: '' }
 */
export function minimalJson(schema: unknown, root: unknown = schema, depth = 0): unknown {
  // A schema that requires itself has no finite value.
  if (!isSchema(schema) || depth > 32) return depth === 0 ? {} : null
  const next = (inner: unknown) => minimalJson(inner, root, depth + 1)
  if (typeof schema.$ref === 'string') return next(follow(root, schema.$ref))
  for (const key of ['const', 'default'] as const) if (key in schema) return schema[key]
  for (const key of ['enum', 'examples'] as const) {
    if (Array.isArray(schema[key]) && schema[key].length > 0) return schema[key][0]
  }
  for (const key of ['anyOf', 'oneOf'] as const) if (Array.isArray(schema[key])) return next(schema[key][0])
  if (Array.isArray(schema.allOf)) return next(Object.assign({}, ...schema.allOf))

  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case 'string':
      return 'x'.repeat(Math.min(toNumber(schema.minLength), 1000))
    case 'integer':
      return Math.ceil(least(schema))
    case 'number':
      return least(schema)
    case 'boolean':
      return false
    case 'null':
      return null
    case 'array':
      return Array.from({ length: Math.min(toNumber(schema.minItems), 100) }, () => next(schema.items))
    default:
      return requiredOf(schema, next)
  }
}

function requiredOf(schema: Schema, next: (inner: unknown) => unknown): object {
  const properties = isSchema(schema.properties) ? schema.properties : {}
  const required = Array.isArray(schema.required) ? schema.required : []
  return Object.fromEntries(required.map((name: string) => [name, next(properties[name])]))
}

function least({ minimum, exclusiveMinimum, maximum }: Schema): number {
  if (typeof minimum === 'number') return minimum
  if (typeof exclusiveMinimum === 'number') return exclusiveMinimum + 1
  return Math.min(0, toNumber(maximum))
}

/** `#/$defs/name` */
function follow(root: unknown, reference: string): unknown {
  let value = root
  for (const part of reference.split('/').slice(1)) value = isSchema(value) ? value[part] : undefined
  return value
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function toNumber(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
