import { describe, expect, it } from 'vitest'
import type { ToolSetting } from '../../../../shared/agents/tools/tool.ts'
import { isIdempotent, privateTool, ToolSettings } from '../../../../shared/agents/tools/tool-settings.ts'

/** Where it is refused, and why. */
function refusal(...tools: unknown[]) {
  const { success, error } = ToolSettings.safeParse(tools)
  if (success) return undefined
  const { path, message } = error.issues[0]!
  return `${path.join('.')}: ${message}`
}

const webhook = { type: 'webhook', name: 'orders', url: 'https://example.com/tools' }
const mcp = { type: 'mcp', url: 'https://example.com/mcp' }

describe('tools of an agent', () => {
  it('takes a name alone for a built-in tool', () => {
    expect(ToolSettings.parse(['recall', 'search'])).toEqual([
      { type: 'builtin', name: 'recall' },
      { type: 'builtin', name: 'search' },
    ])
  })

  it.each([
    ['an unknown tool', ['serch'], /^0\.name: is no tool of the hub/],
    ['an unknown type', [{ type: 'shell', name: 'x' }], /^0\.type: must be of type/],
    ['an unknown field', [{ type: 'builtin', name: 'search', indx: 'a' }], /^0: .*"indx"/],
    ['a setting of another tool', [{ type: 'builtin', name: 'recall', allow: ['a.com'] }], /"allow"/],
    ['http_fetch without hosts', ['http_fetch'], /^0\.allow/],
    ['http_fetch of all hosts', [{ type: 'builtin', name: 'http_fetch', allow: ['*'] }], /^0\.allow\.0/],
    ['a name that no provider takes', [{ ...webhook, name: 'a b' }], /^0\.name/],
    ['a URL with credentials', [{ ...webhook, url: 'https://me:pw@example.com/' }], /^0\.url/],
    ['a secret that is none', [{ ...webhook, secret: 'short' }], /^0\.secret: .*whsec_/],
    ['parameters that are no object', [{ ...webhook, parameters: { type: 'array' } }], /parameters\.type/],
    [
      'a schema that is none, with where it breaks',
      [{ ...webhook, parameters: { type: 'object', properties: { id: { type: 'strin' } } } }],
      /^0\.parameters: parameters\.properties\.id\.type/,
    ],
    ['a header that is the protocol’s', [{ ...mcp, headers: { 'Mcp-Session-Id': '1' } }], /^0\.headers/],
    ['a header that breaks out', [{ ...mcp, headers: { 'x-a': 'b\r\nx-c: d' } }], /^0\.headers/],
    ['two tools of one name', [webhook, webhook], /^1\.name: .*another tool/],
    ['retries of what is not idempotent', [{ ...webhook, retries: 1 }], /^0\.retries/],
    ['a cache of what acts', [{ type: 'builtin', name: 'send_message', cache_ttl_seconds: 5 }], /cache_ttl/],
    ['a timeout without an end', [{ ...webhook, timeout_seconds: 301 }], /^0\.timeout_seconds/],
  ])('refuses %s', (_, tools, expected) => {
    expect(refusal(...tools)).toMatch(expected)
  })

  it('takes one tool twice under two names', () => {
    const two = [
      { type: 'builtin', name: 'search', index: 'faq' },
      { type: 'builtin', name: 'search', index: 'docs', alias: 'search_docs' },
    ]
    expect(refusal(...two)).toBeUndefined()
  })

  it.each([
    [{ type: 'builtin', name: 'search' }, true],
    [{ type: 'builtin', name: 'write_knowledge' }, true],
    [{ type: 'builtin', name: 'http_fetch', allow: ['a.com'] }, true],
    [{ type: 'builtin', name: 'http_fetch', allow: ['a.com'], methods: ['GET', 'POST'] }, false],
    [webhook, false],
    [mcp, false],
    [{ ...webhook, idempotent: true }, true],
  ])('%o is idempotent: %o', (setting, expected) => {
    expect(isIdempotent(setting as ToolSetting)).toBe(expected)
  })

  it('tells which tool needs an admin', () => {
    const settings = [webhook, { ...mcp, allow_private: true }] as ToolSetting[]
    expect(privateTool(settings)).toBe('tools[1].allow_private')
    expect(privateTool(settings.slice(0, 1))).toBeUndefined()
  })
})
