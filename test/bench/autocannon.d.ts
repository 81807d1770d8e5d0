/** What the bench uses of autocannon 9, which brings no types. */
declare module 'autocannon' {
  interface Options {
    url: string
    method: 'POST'
    headers: Record<string, string>
    body: string
    /** Each with a body of its own, in turn. */
    requests?: { body: string }[]
    /** Replaces `[<id>]` in the body with an id of each request. */
    idReplacement?: boolean
    verifyBody?: (body: string) => boolean
    connections: number
    /** Seconds. */
    duration: number
    /** How often it looks whether time is up, in milliseconds. */
    sampleInt: number
  }
  namespace autocannon {
    interface Result {
      non2xx: number
      errors: number
      mismatches: number
    }
  }
  interface Run {
    on(
      event: 'response',
      listener: (client: unknown, status: number, bytes: number, milliseconds: number) => void,
    ): this
  }
  function autocannon(options: Options, done: (error: Error | null, result: autocannon.Result) => void): Run
  export default autocannon
}
