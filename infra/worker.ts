/** The Cloudflare Workers rim. */
import { createWorker } from './rim-worker.ts'

export default createWorker()
