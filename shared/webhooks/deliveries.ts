/** Signed calls out (Standard Webhooks), retried by its schedule until they are taken or given up. */
export interface Deliveries {
  /** Queues one; resolves once Redis has it. `id` makes it idempotent for the receiver (`webhook-id`). */
  send(
    tenant: string,
    delivery: { id: string; url: string; secret?: string; payload: unknown; type: string },
  ): Promise<void>
}
