import { fromChunks } from './completion-chunks.ts'
import type { Completed } from './completions.ts'

/** The whole `chat.completion` as JSON text: a stored or passed-on one byte for byte, a streamed one added up. */
export async function readCompleted(completed: Completed, signal: AbortSignal): Promise<string> {
  if (completed.kind === 'hit') return completed.entry.response
  let chunks: string[] = []
  let whole: string | undefined
  const onRestart = () => {
    chunks = []
    whole = undefined
  }
  for await (const { form, data } of completed.answer.read({ signal, onRestart })) {
    if (form === 'completion') whole = data
    else chunks.push(data)
  }
  return whole ?? fromChunks(chunks)
}
