import { useEffect, useState } from 'preact/hooks'
import type { Snapshot } from '../../shared/overview/snapshot.ts'
import { count, dayAndTime } from './format.ts'
import { queryOf, read } from './hub.ts'
import { Badge, Empty, here, Panel, Part, Problem, Table } from './parts.tsx'

interface DeadLetter {
  id: string
  cause: string
  attempts: number
  at: string
}

/** Streams and queues: what waits, what is worked on, and what was given up. */
export function WorkView({ snapshot, tenant }: { snapshot: Snapshot; tenant: string | undefined }) {
  const [chosen, choose] = useState<{ kind: 'events' | 'queues'; name: string }>()
  const deadOf = (kind: 'events' | 'queues', name: string, dead: number, mine = true) =>
    dead === 0 || !mine ? (
      count(dead)
    ) : (
      <button
        type="button"
        class="small"
        onClick={() => choose({ kind, name })}
        aria-label={`${dead} dead in ${name}: show them`}
      >
        {count(dead)} dead
      </button>
    )
  return (
    <>
      {chosen && (
        <DeadLetters
          key={`${chosen.kind}/${chosen.name}`}
          {...chosen}
          {...{ tenant }}
          close={() => choose(undefined)}
        />
      )}
      <Panel title="Streams">
        <Part part={snapshot.streams} name="Streams">
          {({ data, more }) => (
            <Table
              caption="Streams"
              columns={['Stream', 'Handler', 'Length', 'Lag', 'Pending', 'Dead letters']}
              rows={data.map((one) => [
                <>
                  <code>{one.name}</code> {one.kind === 'hub' && <Badge tone="plain">hub</Badge>}
                </>,
                one.handler ?? '–',
                count(one.length),
                count(one.lag),
                count(one.pending),
                deadOf('events', one.name, one.dead, one.kind === 'events'),
              ])}
              more={more}
              empty={
                <Empty
                  curl={`curl ${here()}/v1/events/orders -H 'content-type: application/json' \\\n  -d '{"type":"order.placed","data":{"id":1}}'`}
                >
                  No stream has settings yet. Send an event, and give its stream a handler:
                </Empty>
              }
            />
          )}
        </Part>
      </Panel>
      <Panel title="Queues">
        <Part part={snapshot.queues} name="Queues">
          {({ data, more }) => (
            <Table
              caption="Queues"
              columns={['Queue', 'Waiting', 'Worked on', 'Dead letters']}
              rows={data.map((one) => [
                <code>{one.name}</code>,
                count(one.waiting),
                count(one.leased),
                deadOf('queues', one.name, one.dead),
              ])}
              more={more}
              empty={
                <Empty
                  curl={`curl ${here()}/v1/queues/mail/jobs -H 'content-type: application/json' \\\n  -d '{"handler":{"type":"embed","index":"docs"},"data":{"id":"1","text":"…"}}'`}
                >
                  No queue has jobs. Queue one:
                </Empty>
              }
            />
          )}
        </Part>
      </Panel>
    </>
  )
}

interface DeadLettersProps {
  kind: 'events' | 'queues'
  name: string
  tenant: string | undefined
  close(): void
}

/** What a stream or a queue gave up, and the button that puts it back. */
function DeadLetters({ kind, name, tenant, close }: DeadLettersProps) {
  const path = `v1/${kind}/${encodeURIComponent(name)}/dead`
  const [letters, setLetters] = useState<DeadLetter[]>()
  const [said, say] = useState('')
  const [problem, setProblem] = useState('')
  const attempt = (work: () => Promise<void>) => {
    setProblem('')
    work().catch(({ message }: Error) => setProblem(message))
  }
  const load = async () =>
    setLetters((await read<{ data: DeadLetter[] }>(`${path}${queryOf({ limit: 100 })}`, { tenant })).data)
  // Anew: once for each
  useEffect(() => attempt(load), [path])
  const replay = (ids: string[]) =>
    attempt(async () => {
      const { replayed } = await read<{ replayed: number | string[] }>(`${path}/replay`, {
        body: { ids },
        tenant,
      })
      const n = typeof replayed === 'number' ? replayed : replayed.length
      say(`${n} put back into ${name}.`)
      await load()
    })
  return (
    <Panel title={`Dead letters of ${name}`}>
      <div class="actions">
        <button
          type="button"
          disabled={!letters?.length}
          onClick={() => replay(letters!.map(({ id }) => id))}
        >
          Replay all shown
        </button>
        <button type="button" class="plain" onClick={close}>
          Close
        </button>
        <output>{said}</output>
      </div>
      {problem && <Problem>{problem}</Problem>}
      {letters && (
        <Table
          caption={`Dead letters of ${name}`}
          columns={['Letter', 'Why', 'Attempts', 'Given up', 'Again']}
          rows={letters.map(({ id, cause, attempts, at }) => [
            <code>{id}</code>,
            cause,
            count(attempts),
            dayAndTime(at),
            <button type="button" class="small" onClick={() => replay([id])} aria-label={`Replay ${id}`}>
              Replay
            </button>,
          ])}
          empty="None is left."
        />
      )}
    </Panel>
  )
}
