import { HubError } from '../errors.ts'
import { plainText, toChunks, withText } from './completion-chunks.ts'

/** One part of an answer as a provider sends it: a `chat.completion.chunk`, or the whole `chat.completion`. */
export interface Piece {
  form: 'chunk' | 'completion'
  /** JSON text. */
  data: string
}

/** An answer past this size is neither buffered nor cached nor joined: 1 MiB of UTF-16 units. */
export const ANSWER_LIMIT = 1024 * 1024

export interface Attempt {
  push(piece: Piece): void
  /** Every piece has come. */
  end(): void
}

export interface Answer {
  /** Whether it is on its way, and a new reader can still read from the first piece on. */
  readonly open: boolean
  /** Resolves at the first piece, or to the failure that came before it. */
  readonly started: Promise<HubError | undefined>
  /** Resolves when nothing more comes: to the failure where it is not whole. */
  readonly over: Promise<HubError | undefined>
  /**
   * Starts to fill it. A second attempt (the first one's maker died) goes on where its text begins with the text that
   * is here already; else readers that hold nothing start over and the others end in `stream_interrupted`.
   */
  begin(): Attempt
  end(): void
  fail(error: HubError): void
  /** Resolves when a slow reader has caught up; only past `ANSWER_LIMIT` is there anything to wait for. */
  room(): Promise<void>
  /**
   * Reads from the first piece on, until the end or until `signal` says that the caller is gone. `onRestart` says that
   * what was read is void; without it a restart throws `stream_interrupted`.
   */
  read(options: { signal: AbortSignal; onRestart?: () => void }): AsyncGenerator<Piece, void, void>
}

/**
 * An answer on its way, read by any number of callers of this process while it is being made.
 *
 * @param onIdle the last reader left before the end
 */
export function createAnswer(onIdle: () => void): Answer {
  let pieces: Piece[] = []
  let dropped = 0 // pieces before pieces[0] that every reader has read
  let size = 0
  let epoch = 0
  let open = true
  let ended: { error?: HubError } | undefined
  const started = Promise.withResolvers<HubError | undefined>()
  const over = Promise.withResolvers<HubError | undefined>()
  let changed = Promise.withResolvers<void>()
  const positions = new Set<{ at: number; epoch: number }>()

  const notify = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  const append = (piece: Piece) => {
    pieces.push(piece)
    size += piece.data.length
    if (size > ANSWER_LIMIT) open = false
    started.resolve(undefined)
    notify()
  }
  const restart = (held: Piece[]) => {
    epoch += 1
    pieces = []
    dropped = 0
    size = 0
    held.forEach(append)
  }
  const trim = () => {
    if (open || size <= ANSWER_LIMIT) return
    const least = Math.min(...[...positions].map(({ at }) => at))
    while (dropped < least && pieces.length > 0) {
      size -= pieces.shift()!.data.length
      dropped += 1
    }
    notify()
  }

  return {
    get open() {
      return open
    },
    started: started.promise,
    over: over.promise,
    begin() {
      if (pieces.length === 0) return { push: append, end() {} }
      const texts = pieces.map((piece) => (piece.form === 'chunk' ? plainText(piece.data) : undefined))
      const sent = texts.includes(undefined) || dropped > 0 ? undefined : texts.join('')
      const held: Piece[] = []
      let text = ''
      let checking = true
      const before = epoch
      const decide = (goesOn: boolean) => {
        checking = false
        if (!goesOn) restart(held)
      }
      const compare = (piece: Piece) => {
        held.push(piece)
        const more = plainText(piece.data)
        if (sent === undefined || more === undefined) {
          decide(false)
          return
        }
        text += more
        if (text.length < sent.length) {
          if (!sent.startsWith(text)) decide(false)
          return
        }
        const rest = text.slice(sent.length)
        decide(text.startsWith(sent))
        if (epoch === before && rest) append({ ...piece, data: withText(piece.data, rest) })
      }
      const push = (piece: Piece) => {
        if (!checking) append(piece)
        else if (piece.form === 'chunk') compare(piece)
        else {
          for (const data of toChunks(piece.data, { includeUsage: true })) push({ form: 'chunk', data })
        }
      }
      return {
        push,
        end() {
          if (checking) decide(false)
        },
      }
    },
    end() {
      ended = {}
      open = false
      started.resolve(undefined)
      over.resolve(undefined)
      notify()
    },
    fail(error) {
      ended ??= { error }
      open = false
      started.resolve(error)
      over.resolve(ended.error)
      notify()
    },
    async room() {
      while (size > ANSWER_LIMIT && positions.size > 0 && !ended) await changed.promise
    },
    async *read({ signal, onRestart }) {
      const position = { at: 0, epoch }
      positions.add(position)
      signal.addEventListener('abort', notify, { once: true })
      try {
        while (!signal.aborted) {
          if (position.epoch !== epoch) {
            if (position.at > 0 && !onRestart) throw interrupted()
            onRestart?.()
            position.at = 0
            position.epoch = epoch
          }
          const piece = pieces[position.at - dropped]
          if (piece) {
            position.at += 1
            trim()
            yield piece
          } else if (ended) {
            if (ended.error !== undefined) throw ended.error
            return
          } else {
            await changed.promise
          }
        }
      } finally {
        signal.removeEventListener('abort', notify)
        positions.delete(position)
        trim()
        if (positions.size === 0 && !ended) {
          open = false
          onIdle()
        }
      }
    },
  }
}

const interrupted = (cause?: unknown) =>
  new HubError({
    code: 'stream_interrupted',
    status: 502,
    message:
      'The answer broke off before its end. What was sent is not the whole answer: send the request again.',
    cause,
  })
