/** Runs in a thread of its own, as `pdf-unpdf.ts` starts it: reads one PDF, posts its pages or why not. */
import { parentPort, workerData } from 'node:worker_threads'
import { extractText, getDocumentProxy } from 'unpdf'

export interface PdfJob {
  bytes: Uint8Array
  maxPages: number
}

export type PdfAnswer = { pages: string[] } | { error: 'invalid' | 'encrypted' | 'too_long'; message: string }

async function read({ bytes, maxPages }: PdfJob): Promise<PdfAnswer> {
  try {
    const pdf = await getDocumentProxy(bytes, { verbosity: 0 })
    if (pdf.numPages > maxPages) return { error: 'too_long', message: `${pdf.numPages} pages` }
    return { pages: (await extractText(pdf, { mergePages: false })).text }
  } catch (error) {
    const { name, message } = error as Error
    return { error: name === 'PasswordException' ? 'encrypted' : 'invalid', message }
  }
}

parentPort?.postMessage(await read(workerData))
