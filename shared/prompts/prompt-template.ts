import mustache from 'mustache'
import { HubError } from '../errors.ts'

export const VARIABLE_TYPES = ['string', 'number', 'boolean', 'array', 'object'] as const

/** What a prompt says of one of its variables. */
export interface DeclaredVariable {
  type: (typeof VARIABLE_TYPES)[number]
  /** True unless it has a default. */
  required?: boolean
  default?: unknown
  description?: string
  enum?: (string | number)[]
}

type Variable = DeclaredVariable & { required: boolean }

/** A chat message; `{{variables}}` stand in its content, or in the text parts of it. */
export interface PromptMessage {
  role: string
  content?: string | { type: string; text?: string }[] | null
}

export interface PromptTemplate {
  messages: PromptMessage[]
  variables: Record<string, Variable>
}

/** Of a variable; `__proto__` is none. */
export const VARIABLE_NAME = /^(?!__proto__$)[A-Za-z_][\w-]{0,63}$/

/** `name`, `order.items.0`, or `.` for a section's item. */
const TAG_PATH = /^(\.|[A-Za-z_][\w-]{0,63}(\.[\w-]{1,64})*)$/

const TAG_LIMIT = 500
const DEPTH_LIMIT = 20
/** Characters of all rendered messages together. */
const RENDERED_LIMIT = 4 * 1024 * 1024
/** Tokens rendered: sections in sections over long arrays multiply, whether they write anything or not. */
const STEP_LIMIT = 200_000

/**
 * Checks a template's syntax and that each variable in it is declared. Without declarations, those that it uses are required
 * strings, or objects where a field is read (`{{user.name}}`).
 *
 * Errors: `HubError` `invalid_template`, `undeclared_variable`, `invalid_variable` (400).
 */
export function toTemplate(
  messages: PromptMessage[],
  declared?: Record<string, DeclaredVariable>,
): PromptTemplate {
  const variables: Record<string, Variable> = Object.create(null)
  for (const [name, variable] of Object.entries(declared ?? {})) {
    variables[name] = { ...variable, required: variable.required ?? variable.default === undefined }
    checkDeclaration(name, variable)
  }

  /** The type of the variable that a tag reads; undefined where it may be a field of a section's item. */
  const typeOf = (path: string, param: string, inItems: boolean) => {
    const [name, field] = path.split('.') as [string, string?]
    const type = field === undefined ? 'string' : 'object'
    if (!variables[name]) {
      if (inItems) return undefined
      if (declared) {
        const message = `\`${name}\` is used but not declared. Add it to \`variables\`, or leave \`variables\` out.`
        throw bad('undeclared_variable', param, message)
      }
      if (!VARIABLE_NAME.test(name))
        throw bad('invalid_template', param, `\`${name}\` is no variable's name.`)
    }
    if (declared) {
      const { type } = variables[name]!
      if (field !== undefined && !inItems && !holdsItems(type)) {
        throw bad('invalid_template', param, `{{${path}}} reads a field, but \`${name}\` is a ${type}.`)
      }
      return type
    }
    if (variables[name]?.type !== 'object') variables[name] = { type, required: true }
    return variables[name]!.type
  }
  const check = (tokens: Token[], param: string, depth = 0, inItems = false) => {
    if (depth > DEPTH_LIMIT) {
      throw bad('invalid_template', param, `Sections are nested more than ${DEPTH_LIMIT} deep.`)
    }
    for (const [kind, name, , , section] of tokens) {
      if (kind === 'text' || kind === '!') continue
      if (kind === '>') throw bad('invalid_template', param, `Partials are not available: {{>${name}}}.`)
      if (!TAG_PATH.test(name) || (name === '.' && depth === 0)) {
        const message = `{{${name}}} names no variable. To write {{ as text, put it into a variable's default.`
        throw bad('invalid_template', param, message)
      }
      const type = name === '.' ? undefined : typeOf(name, param, inItems)
      if (section) check(section, param, depth + 1, inItems || (kind === '#' && !!type && holdsItems(type)))
    }
  }
  mapTexts(messages, (text, path) => {
    check(parse(text, path), path)
    return text
  })
  return { messages, variables }
}

/**
 * Parses a template once, to be rendered many times. A value fills its place as text, whatever it holds: values are never
 * parsed, and messages are never serialised on the way.
 *
 * Errors of the rendering: `HubError` `unknown_variable`, `missing_variable`, `invalid_variable`, `prompt_too_large` (400).
 */
export function compileTemplate({ messages, variables }: PromptTemplate) {
  const texts: Token[][] = []
  mapTexts(messages, (text, path) => {
    texts.push(parse(text, path))
    return text
  })
  return (given: Record<string, unknown>): PromptMessage[] => {
    const scope = new Scope(toValues(variables, given))
    const writer = new BoundedWriter()
    let next = 0
    return mapTexts(messages, () => writer.renderTokens(texts[next++] as unknown as string[][], scope))
  }
}

/** mustache's own token: sections hold more tokens. */
type Token = [kind: string, name: string, start: number, end: number, section?: Token[]]

function parse(text: string, param: string): Token[] {
  if (!text.includes('{{')) return text ? [['text', text, 0, text.length]] : []
  // Checked first: mustache takes quadratic time for white space in a tag that it finds no end of.
  for (let start = text.indexOf('{{'); start !== -1; ) {
    const end = text.indexOf('}}', start)
    const tag = text.slice(start + 2, end).trimStart()
    if (end === -1 || end - start > TAG_LIMIT || (tag[0] === '{' && text[end + 2] !== '}')) {
      const message = `The tag at ${start} is not closed, or is longer than ${TAG_LIMIT} characters.`
      throw bad('invalid_template', param, message)
    }
    if (tag[0] === '=') throw bad('invalid_template', param, 'Other delimiters than {{ }} are not available.')
    start = text.indexOf('{{', end)
  }
  try {
    return new mustache.Writer().parse(text)
  } catch (error) {
    throw bad('invalid_template', param, `${(error as Error).message}.`)
  }
}

/** The messages with each text of their contents replaced. */
function mapTexts(messages: PromptMessage[], map: (text: string, path: string) => string): PromptMessage[] {
  return messages.map((message, index) => {
    const path = `messages[${index}].content`
    const { content } = message
    if (typeof content === 'string') return { ...message, content: map(content, path) }
    if (!content) return message
    const parts = content.map((part, n) =>
      part.text === undefined ? part : { ...part, text: map(part.text, `${path}[${n}].text`) },
    )
    return { ...message, content: parts }
  })
}

/** mustache's renderer with escaping off and bounds. */
class BoundedWriter extends mustache.Writer {
  #characters = 0
  #steps = 0

  override renderTokens(...args: Parameters<Writer['renderTokens']>): string {
    this.#steps += 1 + args[0].length
    if (this.#steps > STEP_LIMIT) throw tooLarge()
    return super.renderTokens(...args)
  }
  override rawValue(token: string[]): string {
    return this.#bounded(token[1]!)
  }
  override escapedValue(token: string[], scope: Context): string {
    return this.#bounded(toText(scope.lookup(token[1]!)))
  }
  override unescapedValue(token: string[], scope: Context): string {
    return this.escapedValue(token, scope)
  }

  #bounded(text: string): string {
    this.#characters += text.length
    if (this.#characters > RENDERED_LIMIT) throw tooLarge()
    return text
  }
}

type Writer = InstanceType<typeof mustache.Writer>
type Context = InstanceType<typeof mustache.Context>

/** mustache's own looks names up along prototypes and calls functions; this one reads own fields of data. */
class Scope extends mustache.Context {
  override push(view: unknown): Scope {
    return new Scope(view, this)
  }

  override lookup(path: string): unknown {
    if (path === '.') return this.view
    const [name, ...fields] = path.split('.') as [string, ...string[]]
    let scope: Context | undefined = this
    while (scope && !hasOwn(scope.view, name)) scope = scope.parent
    return fields.reduce(own, own(scope?.view, name))
  }
}

const hasOwn = (value: unknown, name: string): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)

const own = (value: unknown, name: string): unknown => (hasOwn(value, name) ? value[name] : undefined)

/** Arrays and objects as JSON. */
function toText(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (typeof value !== 'object') return String(value)
  try {
    return JSON.stringify(value)
  } catch (cause) {
    throw bad('invalid_variable', 'variables', 'A variable is nested too deep to be written as JSON.', cause)
  }
}

/** The values to render with. JSON's null is no value. */
function toValues(variables: Record<string, Variable>, given: Record<string, unknown>) {
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(variables, name)) continue
    const names = Object.keys(variables).join(', ') || 'none'
    const message = `The prompt has no variable \`${name}\`. Its variables are: ${names}.`
    throw bad('unknown_variable', `variables.${name}`, message)
  }
  const values: Record<string, unknown> = Object.create(null)
  for (const [name, variable] of Object.entries(variables)) {
    const value = own(given, name) ?? variable.default
    if (value !== undefined) values[name] = checkValue(name, variable, value)
    else if (variable.required) {
      const message = `The prompt needs the variable \`${name}\` (${variable.type}).`
      throw bad('missing_variable', `variables.${name}`, message)
    }
  }
  return values
}

function checkValue(name: string, { type, enum: allowed }: DeclaredVariable, value: unknown, field = '') {
  const actual = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
  const param = `variables.${name}${field}`
  if (actual !== type) {
    throw bad('invalid_variable', param, `\`${name}\` must be of type ${type}, not ${actual}.`)
  }
  if (allowed && !allowed.includes(value as string)) {
    throw bad('invalid_variable', param, `\`${name}\` must be one of: ${allowed.join(', ')}.`)
  }
  return value
}

function checkDeclaration(name: string, variable: DeclaredVariable) {
  for (const value of variable.enum ?? []) checkValue(name, variable, value, '.enum')
  if (variable.default !== undefined) checkValue(name, variable, variable.default, '.default')
}

const holdsItems = (type: Variable['type']) => type === 'array' || type === 'object'

const tooLarge = () =>
  bad('prompt_too_large', 'variables', `The rendered prompt is larger than ${RENDERED_LIMIT} characters.`)

const bad = (code: string, param: string, message: string, cause?: unknown) =>
  new HubError({ code, status: 400, message, param, cause })
