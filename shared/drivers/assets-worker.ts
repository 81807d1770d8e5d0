import type { Assets } from '../ports/assets.ts'

/** Static assets that Workers serves beside a Worker, by its binding. */
interface Binding {
  fetch(request: Request): Promise<Response>
}

export function createAssetsWorker(binding: unknown): Assets | undefined {
  if (typeof (binding as Binding | undefined)?.fetch !== 'function') return undefined
  return async (path) => {
    const response = await (binding as Binding).fetch(
      new Request(`https://assets.invalid/${encodeURI(path)}`),
    )
    if (response.ok) return response
    await response.body?.cancel()
    return undefined
  }
}
