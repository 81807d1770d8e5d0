/** Talks to the hub that served this page. Failures are errors whose message can be shown. */
export class HubFailure extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export interface Ask {
  method?: string
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal
  /** That it is asked for; by default the caller's own. */
  tenant?: string
}

/** Throws `HubFailure` in the hub's own words, or that it cannot be reached (status 0). */
export async function call(
  path: string,
  { method, body, headers, signal, tenant }: Ask = {},
): Promise<Response> {
  const json: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
  let response: Response
  try {
    response = await fetch(path, {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: new Headers({ ...json, ...headers, ...(tenant && { 'x-hub-act-for': tenant }) }),
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal,
    })
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error
    throw new HubFailure(0, 'The hub cannot be reached. Is it running?')
  }
  if (response.ok) return response
  const said = await response.json().catch(() => undefined)
  throw new HubFailure(response.status, said?.error?.message ?? `The hub answered ${response.status}.`)
}

export const read = async <T>(path: string, ask?: Ask): Promise<T> => (await call(path, ask)).json()

/** `name=value` pairs of what is given. */
export const queryOf = (values: Record<string, string | number | undefined>) => {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== '')
  return given.length === 0
    ? ''
    : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`
}
