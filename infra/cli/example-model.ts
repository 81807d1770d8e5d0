import { createHash } from 'node:crypto'
import type { HubClient } from './hub-client.ts'

/** Tells what happens. */
export type Say = (line: string) => void

/** Uploads a model whose version is a part of its SHA-256, so that another one is another version; `stable` leads to it. */
export async function uploadModel(
  hub: HubClient,
  name: string,
  bytes: Uint8Array,
  maxBatch: number,
): Promise<string> {
  const version = createHash('sha256').update(bytes).digest('hex').slice(0, 12)
  await hub.send(`/v2/models/${name}/versions/${version}?max_batch=${maxBatch}`, {
    method: 'PUT',
    body: bytes,
    headers: { 'content-type': 'application/octet-stream' },
  })
  await hub.send(`/v2/models/${name}/labels/stable`, { method: 'PUT', body: { version } })
  return version
}

export const percent = (part: number) => `${(100 * part).toFixed(1)} %`
