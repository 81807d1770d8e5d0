/**
 * Scalar's reference as one script for browsers. It is asked of their plugin for Fastify, which serves it: 16 packages, where the
 * package that it is built from brings 272.
 */
export async function scalarScript(): Promise<string> {
  const { default: plugin } = await import('@scalar/fastify-api-reference')
  let script: string | undefined
  const reply = {
    header: () => reply,
    send: (text: string) => {
      if (text.startsWith('(function')) script = text
      return reply
    },
  }
  const fastify = {
    route({ url, handler }: { url: string; handler: (request: undefined, reply: object) => void }) {
      if (url.endsWith('/js/scalar.js')) handler(undefined, reply)
    },
  }
  const register = plugin as unknown as (app: object, options: object, done: () => void) => void
  register(fastify, { configuration: { url: '/openapi.json' } }, () => {})
  if (!script) throw new Error('@scalar/fastify-api-reference serves its script otherwise by now')
  // The map it names is not served: a browser would ask for it.
  return script.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n')
}
