/** What a route is asked in the reference. A value may be one that an earlier reply has. */
export interface Example {
  path?: Record<string, unknown>
  query?: Record<string, unknown>
  headers?: Record<string, string>
  /** `text/event-stream` of a reply that goes on. */
  accept?: string
  /** Sent as JSON, indented by two, as the reference shows it; with another `type`: text. */
  body?: unknown
  /** Of the body; JSON by default. */
  type?: string
  /** `body` is bytes as Base64. */
  isBase64?: boolean
}

/** By `METHOD /path`, in an order in which each works after those before it. */
export type Story = Record<string, Example>

/** Stands for what the reply of another route says. */
export class FromReply {
  readonly route: string
  /** OpenAPI’s runtime expression, such as `$response.body#/id`. */
  readonly expression: string
  /** Of a variable in a shell. */
  readonly name: string
  /** Shown in its place. */
  readonly sample: string | number

  constructor(route: string, expression: string, name: string, sample: string | number = name) {
    this.route = route
    this.expression = expression
    this.name = name
    this.sample = sample
  }
}

/** What `value` is, with each `FromReply` in it as `show` says. */
export function showing(value: unknown, show: (from: FromReply) => unknown): unknown {
  if (value instanceof FromReply) return show(value)
  if (Array.isArray(value)) return value.map((one) => showing(one, show))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, showing(one, show)]))
}
