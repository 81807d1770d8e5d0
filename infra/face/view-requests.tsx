import { useEffect, useRef, useState } from 'preact/hooks'
import { count, dayAndTime, ms, NONE, time, usd } from './format.ts'
import { queryOf, read } from './hub.ts'
import { Badge, Code, Panel, Problem, Table } from './parts.tsx'

interface Entry {
  id: string
  at: string
  request_id: string | null
  key_id: string | null
  endpoint: string
  model: string
  target: string | null
  verdict: string
  streamed: boolean
  status: number
  error_code: string | null
  first_ms: number | null
  total_ms: number
  tokens: { input: number; output: number } | null
  cost: number
  saved: number
  trace_id: string | null
  content?: { messages: string; answer: string | null } | null
}

const VERDICTS = ['exact', 'semantic', 'stale', 'collapsed', 'miss', 'request', 'bypass', 'none']
const HITS = new Set(VERDICTS.slice(0, 4))

/** The request log: searched by what one remembers of a request. */
export function RequestsView({ tenant, seen }: { tenant: string | undefined; seen: number }) {
  const [filter, setFilter] = useState<Record<string, string>>({})
  const [entries, setEntries] = useState<Entry[]>()
  const [cursor, setCursor] = useState<string | null>(null)
  const [problem, setProblem] = useState('')
  const [chosen, choose] = useState<string>()

  async function load(after?: string, signal?: AbortSignal) {
    setProblem('')
    try {
      const path = `v1/requests${queryOf({ ...filter, tenant, cursor: after, limit: 25 })}`
      const page = await read<{ data: Entry[]; next_cursor: string | null }>(path, { signal })
      setEntries((before) => (after ? [...(before ?? []), ...page.data] : page.data))
      setCursor(page.next_cursor)
    } catch (error) {
      if ((error as Error).name !== 'AbortError') setProblem((error as Error).message)
    }
  }
  // Anew: what was `seen` grows with each completion
  useEffect(() => {
    const leaving = new AbortController()
    void load(undefined, leaving.signal)
    return () => leaving.abort()
  }, [filter, tenant, seen])

  function search(event: Event) {
    event.preventDefault()
    const given = new FormData(event.target as HTMLFormElement)
    setFilter(Object.fromEntries([...given].map(([name, value]) => [name, String(value).trim()])))
  }

  return (
    <>
      <Panel title="Request log" note="the newest first">
        <form class="fields" onSubmit={search}>
          <label>
            Text or id
            <input name="query" type="search" maxLength={200} />
          </label>
          <label>
            Model
            <input name="model" maxLength={300} autocomplete="off" />
          </label>
          <label>
            Key
            <input name="key" maxLength={64} placeholder="id, or none" autocomplete="off" />
          </label>
          <label>
            Answer from
            <select name="verdict">
              <option value="">anywhere</option>
              {VERDICTS.map((verdict) => (
                <option key={verdict}>{verdict}</option>
              ))}
            </select>
          </label>
          <label>
            Status
            <input
              name="status"
              size={5}
              pattern="[1-5](\d\d|xx)"
              title="as 429 or 5xx"
              placeholder="429, 5xx"
            />
          </label>
          <button type="submit">Search</button>
        </form>
        {problem && <Problem>{problem}</Problem>}
        {entries && (
          <Table
            caption="Request log"
            columns={['When', 'Model', 'Answer from', 'Status', 'Took', 'Tokens', 'Cost', 'Saved', '']}
            rows={entries.map((one) => [
              <time dateTime={one.at} title={dayAndTime(one.at)}>
                {time(one.at)}
              </time>,
              <code>{one.target ?? one.model}</code>,
              <Badge tone={HITS.has(one.verdict) ? 'good' : 'plain'}>{one.verdict}</Badge>,
              <Badge tone={one.status < 400 ? 'plain' : one.status < 500 ? 'warn' : 'bad'}>
                {one.status}
              </Badge>,
              ms(one.total_ms),
              one.tokens ? count(one.tokens.input + one.tokens.output) : NONE,
              usd(one.cost),
              usd(one.saved),
              <button
                type="button"
                class="small"
                aria-label={`Details of the request at ${time(one.at)}`}
                onClick={() => choose(one.id)}
              >
                Details
              </button>,
            ])}
            empty={
              Object.values(filter).some(Boolean)
                ? 'No request is like that. Leave a field out to see more.'
                : 'No request is logged yet. Ask for a completion under “Try it”.'
            }
          />
        )}
        {cursor && (
          <button type="button" class="plain" onClick={() => load(cursor)}>
            Older ones
          </button>
        )}
      </Panel>
      {chosen && <Details key={chosen} id={chosen} tenant={tenant} close={() => choose(undefined)} />}
    </>
  )
}

function Details({ id, tenant, close }: { id: string; tenant: string | undefined; close(): void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current!.showModal(), [])
  const [entry, setEntry] = useState<Entry>()
  const [problem, setProblem] = useState('')
  useEffect(() => {
    const leaving = new AbortController()
    const { signal } = leaving
    read<Entry>(`v1/requests/${encodeURIComponent(id)}${queryOf({ tenant })}`, { signal })
      .then(setEntry)
      .catch(({ name, message }: Error) => name === 'AbortError' || setProblem(message))
    return () => leaving.abort()
  }, [id, tenant])
  const facts = entry && {
    When: dayAndTime(entry.at),
    'Asked for': entry.model,
    'Answered by': entry.target ?? NONE,
    Route: entry.endpoint,
    'Answer from': entry.verdict,
    Status: entry.error_code ? `${entry.status} ${entry.error_code}` : String(entry.status),
    'First piece': ms(entry.first_ms),
    'Whole answer': ms(entry.total_ms),
    Tokens: entry.tokens ? `${count(entry.tokens.input)} in, ${count(entry.tokens.output)} out` : NONE,
    'Cost, saved': `${usd(entry.cost)}, ${usd(entry.saved)}`,
    Key: entry.key_id ?? NONE,
    'Request id': entry.request_id ?? NONE,
    Trace: entry.trace_id ?? NONE,
  }
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="one-request">
      <header>
        <h3 id="one-request">
          Request <code>{id}</code>
        </h3>
        <button type="button" class="plain" onClick={() => dialog.current!.close()}>
          Close
        </button>
      </header>
      {problem && <Problem>{problem}</Problem>}
      {facts && (
        <dl class="facts">
          {Object.entries(facts).map(([name, value]) => (
            <>
              <dt key={name}>{name}</dt>
              <dd>{value}</dd>
            </>
          ))}
        </dl>
      )}
      {entry && !entry.content && (
        <p class="quiet">
          Its messages were not logged. HUB_REQUEST_LOG_CONTENT=on logs those of requests from then on.
        </p>
      )}
      {entry?.content && (
        <>
          <h4>Messages</h4>
          <Code>{pretty(entry.content.messages)}</Code>
          {entry.content.answer && (
            <>
              <h4>Answer</h4>
              <Code>{pretty(entry.content.answer)}</Code>
            </>
          )}
        </>
      )}
    </dialog>
  )
}

function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2)
  } catch {
    return json // only its beginning is kept
  }
}
