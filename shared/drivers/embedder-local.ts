import { Worker } from 'node:worker_threads'
import { HubError } from '../errors.ts'
import type { Embedded, Embedder, EmbeddingInput } from '../ports/embedder.ts'
import type { Batch, BatchAnswer } from './embedder-local-worker.ts'
import { fixedLength } from './embedder-openai.ts'
import { toAbortError } from './openai-client.ts'

const DIMENSIONS = 512
/** Changes with the weights: vectors of others are not comparable. */
const SCOPE = 'universal-sentence-encoder-lite-1'
/** Keeps the thread for some 100 ms: a question waits for the batch that runs. */
const BATCH = { inputs: 16, characters: 8_000 }
/** Its tokenizer is quadratic: 16,000 characters took 0.4 s, 32,000 took 5 s. */
const LONGEST = 16_000
/** Loading takes a second or two, and a batch waits for those before it in the thread, not here. */
const LONGEST_MS = 30_000

export interface EmbedderLocal extends Embedder {
  /** Ends the thread, and what waits for it. */
  close(): Promise<void>
}

interface Job {
  batch: Batch
  resolve(answer: Embedded): void
  reject(error: unknown): void
}

/**
 * The embedded English model (Universal Sentence Encoder lite), 512 numbers a text: no key, no network. It runs in a thread
 * of its own, started at the first use, so that the server goes on answering meanwhile.
 *
 * @example await using embedder = createEmbedderLocal()
 */
export function createEmbedderLocal(): EmbedderLocal {
  const queue: Job[] = []
  let thread: Worker | undefined
  let running: Job | undefined
  let deadline: ReturnType<typeof setTimeout> | undefined
  let closed = false

  /** One batch at a time, so that one whose caller left is never begun. */
  function next() {
    if (running || queue.length === 0) return
    running = queue.shift()!
    thread ??= start()
    thread.ref()
    thread.postMessage(running.batch)
    deadline = setTimeout(() => thread?.terminate(), LONGEST_MS)
  }

  function end(settle: (job: Job) => void) {
    const job = running
    clearTimeout(deadline)
    running = undefined
    if (job) settle(job)
    next()
  }

  function start(): Worker {
    const started = new Worker(new URL('./embedder-local-worker.ts', import.meta.url))
    let cause: unknown
    started.on('message', (answer: BatchAnswer) => {
      started.unref() // an idle thread keeps no process alive
      end((job) => ('error' in answer ? job.reject(failed(answer.error)) : job.resolve(toEmbedded(answer))))
    })
    started.on('error', (error) => {
      cause = error
    })
    started.on('exit', () => {
      if (thread === started) thread = undefined
      end((job) => job.reject(failed(cause ?? 'its thread ended')))
    })
    return started
  }

  return {
    defaultModel: 'local',
    resolve(model) {
      if (model === 'local')
        return {
          provider: 'local',
          model,
          scope: SCOPE,
          price: 0,
          dimensions: DIMENSIONS,
          batch: BATCH,
          longest: LONGEST,
        }
      const message = `There is no embedding model local/${model}; there is \`local\`.`
      throw new HubError({ status: 404, code: 'model_not_found', message, param: 'model' })
    },
    async embed(_, inputs, { dimensions, purpose, signal }) {
      signal.throwIfAborted()
      if (dimensions !== undefined && dimensions !== DIMENSIONS) throw fixedLength('local', DIMENSIONS)
      if (closed) throw failed('it is closed')
      const { promise, resolve, reject } = Promise.withResolvers<Embedded>()
      const job: Job = { batch: { texts: inputs.map(toText) }, resolve, reject }
      const leave = () => {
        const at = queue.indexOf(job)
        if (at >= 0) queue.splice(at, 1)
        reject(toAbortError(signal))
      }
      signal.addEventListener('abort', leave, { once: true })
      // Somebody waits for a question, nobody for an import.
      if (purpose === 'query') queue.unshift(job)
      else queue.push(job)
      next()
      return promise.finally(() => signal.removeEventListener('abort', leave))
    },
    async close() {
      closed = true
      for (const job of queue.splice(0)) job.reject(failed('it is closed'))
      await thread?.terminate()
    },
  }
}

function toEmbedded({ vectors, tokens }: Extract<BatchAnswer, { tokens: number }>): Embedded {
  const count = vectors.length / DIMENSIONS
  const at = (n: number) => vectors.slice(n * DIMENSIONS, (n + 1) * DIMENSIONS)
  return { vectors: Array.from({ length: count }, (_, n) => at(n)), tokens }
}

function toText(input: EmbeddingInput): string {
  if (typeof input === 'string') return input
  throw new HubError({ status: 400, code: 'tokens_not_supported', message: 'The local model takes texts.' })
}

const failed = (cause: unknown) =>
  new HubError({ status: 503, code: 'provider_error', message: 'The local embedding model failed.', cause })
