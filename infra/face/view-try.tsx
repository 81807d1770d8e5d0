import { EventSourceParserStream } from 'eventsource-parser/stream'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { count, ms } from './format.ts'
import { type Ask, call, read } from './hub.ts'
import { Empty, here, Panel, Problem } from './parts.tsx'

const KINDS = { completion: 'Completion', search: 'Search', ask: 'Ask' } as const
type Kind = keyof typeof KINDS

interface Citation {
  document_id: string
  quote: string
  source: number
}
interface Result {
  document_id: string
  text: string
  score: number
  highlights?: { start: number; end: number }[]
}
interface Shown {
  text?: string
  facts?: string
  citations?: Citation[]
  results?: Result[]
}

/** Completions, search and answers from documents, asked for as any client does. */
export function TryView({ tenant }: { tenant: string | undefined }) {
  const [kind, setKind] = useState<Kind>('completion')
  const [indexes, setIndexes] = useState<string[]>()
  const [models, setModels] = useState<string[]>([])
  const [shown, show] = useState<Shown>({})
  const [problem, setProblem] = useState('')
  const running = useRef<AbortController>(undefined)
  const [isRunning, setRunning] = useState(false)

  useEffect(() => {
    read<{ data: { name: string }[] }>('v1/indexes', { tenant })
      .then(({ data }) => setIndexes(data.map(({ name }) => name)))
      .catch(() => setIndexes([]))
    read<{ data: { id: string }[] }>('v1/models', { tenant })
      .then(({ data }) => setModels(data.map(({ id }) => id)))
      .catch(() => {})
    return () => running.current?.abort()
  }, [])

  async function run(event: Event) {
    event.preventDefault()
    const given = Object.fromEntries(new FormData(event.target as HTMLFormElement)) as Record<string, string>
    running.current?.abort()
    running.current = new AbortController()
    const { signal } = running.current
    show({})
    setProblem('')
    setRunning(true)
    try {
      if (kind === 'search') show(await search(given, { signal, tenant }))
      else await stream(kind, given, { signal, tenant }, show)
    } catch (error) {
      if (!signal.aborted) setProblem((error as Error).message)
    } finally {
      if (running.current?.signal === signal) setRunning(false)
    }
  }

  const needsIndex = kind !== 'completion'
  return (
    <Panel title="Try it">
      <form onSubmit={run}>
        <fieldset class="kinds">
          <legend class="hidden">What to try</legend>
          {Object.entries(KINDS).map(([value, label]) => (
            <label key={value}>
              <input
                type="radio"
                name="kind"
                value={value}
                checked={kind === value}
                onChange={() => {
                  setKind(value as Kind)
                  show({})
                  setProblem('')
                }}
              />
              {label}
            </label>
          ))}
        </fieldset>
        {needsIndex && indexes?.length === 0 ? (
          <Empty
            curl={`curl -X PUT ${here()}/v1/indexes/docs -H 'content-type: application/json' -d '{}'\ncurl ${here()}/v1/indexes/docs/documents -H 'content-type: application/json' \\\n  -d '[{"id":"1","text":"Redis keeps its data in memory."}]'`}
          >
            There is no index to search yet. Make one, and put a document into it:
          </Empty>
        ) : (
          <>
            <div class="fields">
              {needsIndex && (
                <label>
                  Index
                  <select name="index">
                    {indexes?.map((name) => (
                      <option key={name}>{name}</option>
                    ))}
                  </select>
                </label>
              )}
              {kind !== 'search' && (
                <label>
                  Model
                  <input name="model" list="models" defaultValue="local/local" required autocomplete="off" />
                  <datalist id="models">
                    {models.map((id) => (
                      <option key={id} value={id} />
                    ))}
                  </datalist>
                </label>
              )}
            </div>
            <label class="wide">
              {kind === 'completion' ? 'Message' : kind === 'search' ? 'Words to search for' : 'Question'}
              <textarea name="text" rows={3} required />
            </label>
            <div class="actions">
              <button type="submit" disabled={isRunning}>
                {isRunning ? 'Running…' : kind === 'search' ? 'Search' : kind === 'ask' ? 'Ask' : 'Send'}
              </button>
              {isRunning && (
                <button type="button" class="plain" onClick={() => running.current?.abort()}>
                  Stop
                </button>
              )}
              <output class="note">{shown.facts}</output>
            </div>
          </>
        )}
      </form>
      {problem && <Problem>{problem}</Problem>}
      <div aria-live="polite">
        {shown.text !== undefined && <p class="answer">{withSources(shown.text, shown.citations)}</p>}
        {shown.results?.length === 0 && <p class="quiet">Nothing like that is in this index.</p>}
      </div>
      {shown.results && shown.results.length > 0 && (
        <ol class="results">
          {shown.results.map((result, i) => (
            <li key={i}>
              <header>
                <code>{result.document_id}</code> <span class="note">score {result.score.toFixed(3)}</span>
              </header>
              <p>{marked(result.text, result.highlights)}</p>
            </li>
          ))}
        </ol>
      )}
      {shown.citations && shown.citations.length > 0 && (
        <ol class="citations" aria-label="Citations">
          {shown.citations.map(({ source, document_id, quote }, i) => (
            <li key={i} id={`source-${source}`}>
              <header>
                <b>[{source}]</b> <code>{document_id}</code>
              </header>
              <blockquote>
                <mark>{quote}</mark>
              </blockquote>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  )
}

async function search({ index, text }: Record<string, string>, ask: Ask): Promise<Shown> {
  const begun = performance.now()
  const path = `v1/indexes/${encodeURIComponent(index!)}/search`
  const { results } = await read<{ results: Result[] }>(path, { ...ask, body: { query: text, top_k: 5 } })
  return { results, facts: `${count(results.length)} found in ${ms(performance.now() - begun)}` }
}

/** Shows the answer while it comes. */
async function stream(
  kind: 'completion' | 'ask',
  { index, model, text }: Record<string, string>,
  ask: Ask,
  show: (shown: Shown) => void,
) {
  const begun = performance.now()
  const body =
    kind === 'ask'
      ? { index, model, question: text, stream: true }
      : { model, messages: [{ role: 'user', content: text }], stream: true }
  const response = await call(kind === 'ask' ? 'v1/ask' : 'v1/chat/completions', { ...ask, body })
  const cache = /\bhit\b/.test(response.headers.get('cache-status') ?? '')
    ? 'from the cache'
    : 'from the model'
  const events = response
    .body!.pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream())
    .getReader()
  let first: number | undefined
  const shown: Shown = { text: '' }
  for (;;) {
    const { value, done } = await events.read()
    if (done) break
    if (value.data === '[DONE]') continue
    const chunk = JSON.parse(value.data)
    if (chunk.error) throw new Error(chunk.error.message)
    const piece = chunk.choices?.[0]?.delta?.content
    if (piece) {
      first ??= performance.now() - begun
      shown.text += piece
    }
    if (chunk.answer !== undefined) Object.assign(shown, { text: chunk.answer, citations: chunk.citations })
    show({ ...shown })
  }
  const facts = `${cache} · first piece after ${ms(first)} · all after ${ms(performance.now() - begun)}`
  show({ ...shown, facts })
}

/** `[n]` in an answer leads to the quote that it stands on. */
function withSources(text: string, citations: Citation[] = []): ComponentChildren[] {
  const known = new Set(citations.map(({ source }) => source))
  return text.split(/(\[\d+\])/).map((piece, i) => {
    const source = Number(/^\[(\d+)\]$/.exec(piece)?.[1])
    return known.has(source) ? (
      <a key={i} href={`#source-${source}`} class="source">
        {piece}
      </a>
    ) : (
      piece
    )
  })
}

function marked(text: string, spans: { start: number; end: number }[] = []): ComponentChildren[] {
  const parts: ComponentChildren[] = []
  let at = 0
  for (const { start, end } of spans) {
    if (start < at) continue
    parts.push(text.slice(at, start), <mark key={start}>{text.slice(start, end)}</mark>)
    at = end
  }
  return [...parts, text.slice(at)]
}
