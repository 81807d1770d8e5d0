// temporary, until functions/search-indexes.ts is there
import { Hono } from 'hono'
import type { App, Deps } from './deps.ts'
import { admitted } from './http.ts'
export function tmpIndexes({ indexes, documents, admission }: Pick<Deps, 'indexes' | 'documents' | 'admission'>) {
  return new Hono<App>()
    .put('/v1/indexes/:index', admitted(admission, 'search'), async (c) => {
      const call = { caller: c.var.caller, signal: c.req.raw.signal, defer: c.env.defer }
      const { created } = await indexes.put(c.var.caller.tenant, c.req.param('index'), await c.req.json(), call)
      return c.json({}, created ? 201 : 200)
    })
    .post('/v1/indexes/:index/documents', admitted(admission, 'search'), async (c) => {
      const index = await indexes.resolve(c.var.caller.tenant, c.req.param('index'))
      const call = { caller: c.var.caller, signal: c.req.raw.signal, defer: c.env.defer }
      return c.json({ documents: await documents.put(index, await c.req.json(), call) }, 201)
    })
    .get('/v1/indexes/:index/documents/:id', admitted(admission, 'search'), async (c) => {
      const index = await indexes.resolve(c.var.caller.tenant, c.req.param('index'))
      return c.json(await documents.get(index, c.req.param('id')))
    })
    .delete('/v1/indexes/:index/documents/:id', admitted(admission, 'search'), async (c) => {
      const index = await indexes.resolve(c.var.caller.tenant, c.req.param('index'))
      const call = { caller: c.var.caller, signal: c.req.raw.signal, defer: c.env.defer }
      await documents.delete(index, c.req.param('id'), call)
      return c.body(null, 204)
    })
}
