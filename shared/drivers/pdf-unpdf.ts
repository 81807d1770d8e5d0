import { Worker } from 'node:worker_threads'
import { HubError } from '../errors.ts'
import type { ReadPdf } from '../ports/pdf.ts'
import type { PdfAnswer, PdfJob } from './pdf-unpdf-worker.ts'

export interface PdfUnpdfOptions {
  maxPages?: number
  /** Longest time for one PDF. */
  timeoutMs?: number
  /** Most threads, each of up to `memoryMiB`; more PDFs wait. */
  threads?: number
  memoryMiB?: number
}

/**
 * PDFs by unpdf, each in a thread of its own that is ended at a deadline or at its bound of memory: a page may describe a
 * billion glyphs, and while one is read the server must answer. Starting a thread costs about 0.2 s.
 *
 * @example const pages = await createPdfUnpdf()(bytes, { signal })
 */
export function createPdfUnpdf({
  maxPages = 2_000,
  timeoutMs = 30_000,
  threads = 2,
  memoryMiB = 512,
}: PdfUnpdfOptions = {}): ReadPdf {
  let free = threads
  const waiting: (() => void)[] = []

  return async (bytes, { signal }) => {
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve))
    else free--
    try {
      signal.throwIfAborted()
      return pagesOf(await read({ bytes, maxPages }, signal), maxPages)
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }

  function read(job: PdfJob, signal: AbortSignal): Promise<PdfAnswer> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./pdf-unpdf-worker.ts', import.meta.url), {
        workerData: job,
        resourceLimits: { maxOldGenerationSizeMb: memoryMiB },
        stdout: true,
        stderr: true,
      })
      const end = (settle: () => void) => {
        clearTimeout(timer)
        clearInterval(watch)
        signal.removeEventListener('abort', onAbort)
        settle()
        void worker.terminate()
      }
      const onAbort = () => end(() => reject(signal.reason))
      const timer = setTimeout(() => end(() => reject(tooComplex(`${timeoutMs / 1000} s`))), timeoutMs)
      // What is unpacked lies outside of the heap that `resourceLimits` bounds: 1 MB may become a gigabyte.
      const watch = setInterval(async () => {
        const { external_memory: bytes } = await worker
          .getHeapStatistics()
          .catch(() => ({ external_memory: 0 }))
        if (bytes > memoryMiB * 2 ** 20) end(() => reject(tooComplex(`${memoryMiB} MiB`)))
      }, 100)
      signal.addEventListener('abort', onAbort, { once: true })
      worker.on('message', (answer: PdfAnswer) => end(() => resolve(answer)))
      worker.on('error', (error: NodeJS.ErrnoException) =>
        end(() => reject(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? tooComplex(`${memoryMiB} MiB`) : error)),
      )
      worker.on('exit', (code) =>
        end(() => reject(new Error(`The thread that reads a PDF ended with ${code}`))),
      )
    })
  }
}

function pagesOf(answer: PdfAnswer, maxPages: number): string[] {
  if ('pages' in answer) return answer.pages
  if (answer.error === 'encrypted')
    throw refused(422, 'pdf_encrypted', 'The PDF asks for a password. Save it without one.')
  if (answer.error === 'too_long')
    throw refused(413, 'pdf_too_long', `The PDF has ${answer.message}, more than ${maxPages}. Split it.`)
  throw refused(422, 'invalid_pdf', `The PDF cannot be read: ${answer.message}`)
}

const tooComplex = (bound: string) =>
  refused(422, 'pdf_too_complex', `Reading the PDF takes more than ${bound}. Simplify or split it.`)

const refused = (status: number, code: string, message: string) =>
  new HubError({ status, code, message, param: 'body' })
