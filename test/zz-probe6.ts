import { createServer } from 'node:http'
import { once } from 'node:events'
import { getRequestListener } from '@hono/node-server'
import { McpServer, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { createOutgoingNode } from '../shared/drivers/outgoing-node.ts'
import { createMcpClient } from '../shared/agents/mcp-client.ts'
process.on('uncaughtException', (e) => console.log('UNCAUGHT', e.stack, e.cause))
const sessions = new Map<string, any>()
const make = () => { const s = new McpServer({name:'a',version:'1'}); s.registerTool('t', {inputSchema: z.object({})}, async () => ({content:[{type:'text',text:'x'}]})); return s }
const server = createServer(getRequestListener(async (request) => {
  const id = request.headers.get('mcp-session-id')
  console.log(request.method, id, (await request.clone().text()).slice(0, 90))
  const found = id ? sessions.get(id) : undefined
  if (found) return found.handleRequest(request)
  const t = new WebStandardStreamableHTTPServerTransport({ sessionIdGenerator: () => crypto.randomUUID(), onsessioninitialized: (id) => void sessions.set(id, t) })
  await make().connect(t)
  const r = await t.handleRequest(request)
  console.log('->', r.status, r.headers.get('content-type'))
  return r
})).listen(0)
await once(server, 'listening')
const client = createMcpClient({ outgoing: createOutgoingNode({ silenceMs: 5000 }) })
const s = { tenant: 'x', url: new URL(`http://127.0.0.1:${(server.address() as any).port}/`), headers: {}, allowPrivate: true }
console.log(await client.listTools(s, { signal: new AbortController().signal }))
await new Promise((r) => setTimeout(r, 300))
server.closeAllConnections(); server.close(); process.exit()
