/** What the server refuses: Upstash's shape is `{"error","status"}`. */
export class Refusal extends Error {
  override name = 'Refusal'
  readonly status: 400 | 404 | 413 | 422

  constructor(status: 400 | 404 | 413 | 422, message: string) {
    super(message)
    this.status = status
  }
}
