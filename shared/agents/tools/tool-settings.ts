import { z } from 'zod'
import { HubError } from '../../errors.ts'
import { compileDataSchema } from '../../events/data-schema.ts'
import { FilterSchema } from '../../filter-schema.ts'
import { NAME } from '../../keys.ts'
import { webhookSecretBytes } from '../../webhooks/signing.ts'
import type { ToolSetting } from './tool.ts'

const Name = z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
/** As models' providers take it. */
const ToolName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 _ -')
const Description = z.string().max(4_000).describe('what the model reads of it')
const Url = z.string().max(2_000).refine(isUrl, 'must be an http(s) URL without credentials and fragment')
const AllowPrivate = z.boolean().describe('plain HTTP, and addresses that are not public; needs an admin')

const policy = {
  timeout_seconds: z
    .number()
    .min(0.1)
    .max(300)
    .optional()
    .describe('of a call, its retries included; 30 by default'),
  retries: z.int().min(0).max(5).optional().describe('where a call may pass; of idempotent tools'),
  approval: z.boolean().optional().describe('a person must agree to each call'),
  idempotent: z
    .boolean()
    .optional()
    .describe('it may be called again with the same idempotency key; not of webhooks and MCP by default'),
  cache_ttl_seconds: z.int().min(1).max(86_400).optional().describe('results may be reused for so long'),
}

const builtIn = <N extends string, Own extends z.ZodRawShape>(name: N, own: Own) =>
  z.strictObject({
    type: z.literal('builtin'),
    name: z.literal(name),
    alias: ToolName.optional().describe('what the model calls it; its name by default'),
    description: Description.optional(),
    ...policy,
    ...own,
  })

const retrieval = {
  index: Name.optional().describe('the model names one where this does not'),
  filter: FilterSchema.optional(),
  mode: z.enum(['vector', 'text', 'hybrid']).optional(),
  top_k: z.int().min(1).max(50).optional().describe('5 by default'),
  min_score: z.number().optional(),
}
const Topics = z.array(Name).min(1).max(100).optional().describe('all by default')
const Agents = z.array(Name).min(1).max(100).optional().describe('whom it may name; any by default')

const search = builtIn('search', retrieval)
const ask = builtIn('ask', { ...retrieval, model: z.string().min(1).max(200).optional() })
const infer = builtIn('infer', { model: Name, version: Name.optional() })
const addDocument = builtIn('add_document', { index: retrieval.index })
const remember = builtIn('remember', {})
const recall = builtIn('recall', { top_k: retrieval.top_k, min_score: retrieval.min_score })
const readKnowledge = builtIn('read_knowledge', { topics: Topics })
const writeKnowledge = builtIn('write_knowledge', { topics: Topics })
const sendMessage = builtIn('send_message', {
  agents: Agents,
  channels: z.array(z.string().min(1).max(128)).min(1).max(100).optional().describe('any by default'),
})
const assignTask = builtIn('assign_task', { agents: Agents })
const wait = builtIn('wait', {})
const log = builtIn('log', {})
const httpFetch = builtIn('http_fetch', {
  allow: z
    .array(
      z
        .string()
        .max(260)
        .regex(
          /^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:\d{1,5})?$/i,
          'must be a host, `*.` before it for those below it, with its port where it is not the usual one',
        ),
    )
    .min(1)
    .max(100)
    .describe('hosts: `example.com`, `*.example.com`, `example.com:8443`'),
  methods: z
    .array(z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']))
    .min(1)
    .optional()
    .describe('GET by default'),
  as: z.enum(['raw', 'text']).optional().describe('`text`: of HTML what a reader reads; `raw` by default'),
  allow_private: AllowPrivate.optional(),
})

const BuiltInTool = z.discriminatedUnion(
  'name',
  [
    ...[search, ask, infer, addDocument, remember, recall, readKnowledge, writeKnowledge],
    ...[sendMessage, assignTask, wait, log, httpFetch],
  ] as const,
  { error: 'is no tool of the hub' },
)

/** Settings of built-in tools, by their `name`. */
export type BuiltInTool = z.output<typeof BuiltInTool>
export type BuiltInName = BuiltInTool['name']
export type SettingOf<Name extends BuiltInName> = Extract<BuiltInTool, { name: Name }>

const WebhookTool = z.strictObject({
  type: z.literal('webhook'),
  name: ToolName,
  description: Description.optional(),
  parameters: z
    .record(z.string(), z.unknown())
    .superRefine(checkParameters)
    .optional()
    .describe('JSON Schema of the arguments: an object'),
  url: Url,
  secret: z
    .string()
    .max(200)
    .superRefine(checkSecret)
    .optional()
    .describe('signs by Standard Webhooks; stored encrypted and not shown again'),
  allow_private: AllowPrivate.optional(),
  ...policy,
})

/** What the protocol says itself. */
const OWN_HEADERS =
  /^(mcp-.*|accept.*|content-.*|host|connection|transfer-encoding|last-event-id|te|upgrade)$/i

const McpTools = z.strictObject({
  type: z.literal('mcp'),
  url: Url.describe('of Streamable HTTP'),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,32}$/, 'must be 1 to 32 of A-Z a-z 0-9 _ -')
    .optional()
    .describe('before the names of its tools'),
  headers: z
    .record(
      z
        .string()
        .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/, 'must be the name of a header')
        .refine((name) => !OWN_HEADERS.test(name), 'is a header that the protocol sets itself'),
      z.string().regex(/^[\x20-\x7e]{0,4096}$/, 'must be printable ASCII, 4,096 characters at most'),
    )
    .optional()
    .describe('`Authorization` and the like; stored encrypted and not shown again'),
  allow: z.array(z.string().min(1).max(128)).min(1).max(128).optional().describe('its tools; all by default'),
  allow_private: AllowPrivate.optional(),
  ...policy,
})

const ToolSettingSchema = z.preprocess(
  (given) => (typeof given === 'string' ? { type: 'builtin', name: given } : given),
  z.discriminatedUnion('type', [BuiltInTool, WebhookTool, McpTools], {
    error: 'must be of type `builtin`, `webhook` or `mcp`',
  }),
)

/** `tools` of an agent. A name alone is short for a built-in tool: `"recall"`. */
export const ToolSettings = z.array(ToolSettingSchema).max(64).superRefine(checkTogether)

/** Those that change something, or only say what is to happen: of them no earlier result will do. */
const ACTING: readonly string[] = [
  'remember',
  'add_document',
  'write_knowledge',
  'send_message',
  'assign_task',
  'wait',
  'log',
] satisfies BuiltInName[]

/** As declared; else what is built in, but calls that change something at somebody else's. */
export function isIdempotent(setting: ToolSetting): boolean {
  if (setting.idempotent !== undefined) return setting.idempotent
  if (setting.type !== 'builtin') return false
  return setting.name !== 'http_fetch' || onlyReads(setting as SettingOf<'http_fetch'>)
}

/** Path of the first tool that may reach what is not public: only an admin may declare it. */
export function privateTool(settings: readonly ToolSetting[]): string | undefined {
  const at = settings.findIndex(({ allow_private }) => allow_private === true)
  return at < 0 ? undefined : `tools[${at}].allow_private`
}

/** What the model calls it, where that is known before a server is asked. */
export function nameOf(setting: ToolSetting): string | undefined {
  if (setting.type === 'mcp') return undefined
  return setting.type === 'builtin' && typeof setting.alias === 'string' ? setting.alias : setting.name
}

const onlyReads = ({ methods = ['GET'] }: SettingOf<'http_fetch'>) =>
  methods.every((method) => method === 'GET')

function mayBeCached(setting: ToolSetting): boolean {
  if (setting.type !== 'builtin') return true
  if (setting.name === 'http_fetch') return onlyReads(setting as SettingOf<'http_fetch'>)
  return !ACTING.includes(setting.name)
}

function checkTogether(settings: readonly ToolSetting[], context: z.RefinementCtx) {
  const refuse = (path: (string | number)[], message: string) =>
    context.addIssue({ code: 'custom', path, message })
  const names = new Set<string>()
  for (const [i, setting] of settings.entries()) {
    const name = nameOf(setting)
    const field = setting.type === 'builtin' && setting.alias !== undefined ? 'alias' : 'name'
    if (name !== undefined && names.has(name))
      refuse([i, field], `is the name of another tool too; a built-in one can have an \`alias\``)
    if (name !== undefined) names.add(name)
    if (setting.retries && !isIdempotent(setting))
      refuse([i, 'retries'], 'are for idempotent tools: declare `idempotent: true` where it is one')
    if (setting.cache_ttl_seconds !== undefined && !mayBeCached(setting))
      refuse([i, 'cache_ttl_seconds'], 'is not for a tool that changes something')
  }
}

function checkParameters(schema: Record<string, unknown>, context: z.RefinementCtx) {
  if (schema.type !== 'object')
    context.addIssue({ code: 'custom', path: ['type'], message: 'must be `object`' })
  checkBy(() => compileDataSchema(schema, 'parameters'), context)
}

function checkSecret(secret: string, context: z.RefinementCtx) {
  checkBy(() => webhookSecretBytes(secret), context)
}

function checkBy(check: () => void, context: z.RefinementCtx) {
  try {
    check()
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    context.addIssue({ code: 'custom', message: error.message })
  }
}

function isUrl(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.hash
}
