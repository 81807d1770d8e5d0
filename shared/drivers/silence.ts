export interface Silence {
  /** Aborted when the other side was silent for too long, when the caller aborted or left. */
  readonly signal: AbortSignal
  readonly ended: 'silent' | 'aborted' | 'left' | undefined
  /** From now on the other side is to say something. */
  expect(): void
  /** It did. Time that our reader takes between chunks is not the other side's silence. */
  heard(): void
  leave(): void
  /** Forgets timer and caller. */
  close(): void
}

/**
 * Ends a call on which nothing arrives for `limitMs`. One timer a call, armed again only when it fires: a timer for every
 * chunk would cost more than reading the chunk.
 */
export function createSilence(limitMs: number, caller: AbortSignal): Silence {
  const controller = new AbortController()
  let ended: Silence['ended']
  let since: number | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  function end(why: Silence['ended']) {
    ended ??= why
    controller.abort()
  }
  const abort = () => end('aborted')
  function check() {
    const left = since === undefined ? limitMs : since + limitMs - performance.now()
    if (left > 0) timer = setTimeout(check, left)
    else end('silent')
  }
  function start() {
    timer = setTimeout(check, limitMs)
    caller.addEventListener('abort', abort, { once: true })
    if (caller.aborted) abort()
  }

  return {
    signal: controller.signal,
    get ended() {
      return ended
    },
    expect() {
      since = performance.now()
      if (timer === undefined) start()
    },
    heard() {
      since = undefined
    },
    leave: () => end('left'),
    close() {
      clearTimeout(timer)
      caller.removeEventListener('abort', abort)
    },
  }
}
