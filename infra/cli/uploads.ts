import { Bar } from 'cli-progress'
import { HubRequestError } from '../client/hub-request-error.ts'
import { type CommandCall, EXIT } from './command.ts'
import { oneLine, printJson, styled } from './output.ts'

type Uploaded = 'written' | 'unchanged'

export interface Uploads {
  /** One more is done. */
  done(how: Uploaded, count?: number): void
  failed(id: string, error: unknown): void
}

export interface UploadOptions<T> {
  call: CommandCall
  /** What is uploaded at once; read as it is needed. */
  items: Iterable<T> | AsyncIterable<T>
  /** Of documents, where it is known. */
  total?: number
  /** At the same time. */
  concurrency: number
  upload(item: T, uploads: Uploads): Promise<void>
  /** Told in the summary. */
  about: Record<string, unknown>
}

/** Every so many documents a line, where there is no terminal to draw on. */
const LINE_MS = 5_000

/**
 * Uploads one after the other, tells how far it is, and sums up. Exit code 0; 1 when something failed; 130 after Ctrl-C, which loses
 * nothing: the same command goes on, as the hub skips what did not change.
 */
export async function runUploads<T>(options: UploadOptions<T>): Promise<number> {
  const { call, items, total, concurrency, upload, about } = options
  const { signal } = call
  const asJson = call.values.json === true
  const started = performance.now()
  const counts = { written: 0, unchanged: 0 }
  const failures: { id: string; error: string }[] = []
  const progress = createProgress(total, asJson)
  const processed = () => counts.written + counts.unchanged + failures.length
  const uploads: Uploads = {
    done(how, count = 1) {
      counts[how] += count
      progress.show(processed())
    },
    failed(id, error) {
      if (signal.aborted) return
      // Nothing that follows could go better.
      if (!(error instanceof HubRequestError) || [0, 401, 403, 404].includes(error.status)) throw error
      failures.push({ id, error: (error as Error).message })
      progress.show(processed())
    },
  }

  const source = iterate(items)
  async function worker() {
    while (!signal.aborted) {
      const next = await source.next()
      if (next.done) return
      await upload(next.value, uploads)
    }
  }
  try {
    await Promise.all(Array.from({ length: concurrency }, worker))
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    progress.stop()
  }

  const seconds = Math.round((performance.now() - started) / 100) / 10
  const interrupted = signal.aborted
  if (asJson) {
    const summary = {
      ...about,
      total: total ?? processed(),
      ...counts,
      failed: failures.length,
      failures,
      seconds,
      interrupted,
    }
    printJson(summary)
  } else {
    for (const { id, error } of failures)
      console.error(`  ${styled('red', 'failed', process.stderr)}: ${oneLine(`${id}: ${error}`, 500)}`)
    console.log(
      `${counts.written} written, ${counts.unchanged} unchanged, ${failures.length} failed in ${seconds} s`,
    )
    if (interrupted)
      console.log('Interrupted. Run the same command again to go on: what is there already is skipped.')
  }
  if (interrupted) return EXIT.interrupted
  return failures.length > 0 ? EXIT.failed : EXIT.ok
}

/** A bar on a terminal, else a line now and then; on stderr, so that stdout is the summary's. */
function createProgress(total: number | undefined, quiet: boolean) {
  if (process.stderr.isTTY && !quiet && total !== undefined) {
    const format = '{bar} {percentage}% · {value} of {total} · {eta_formatted} left'
    const bar = new Bar({ format, stream: process.stderr, hideCursor: true, clearOnComplete: true })
    bar.start(total, 0)
    return { show: (done: number) => bar.update(done), stop: () => bar.stop() }
  }
  let shown = performance.now()
  return {
    show(done: number) {
      if (quiet || performance.now() - shown < LINE_MS) return
      shown = performance.now()
      console.error(total === undefined ? `${done} documents` : `${done} of ${total} documents`)
    },
    stop() {},
  }
}

async function* iterate<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  yield* items
}
