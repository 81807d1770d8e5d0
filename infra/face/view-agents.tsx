import { useEffect, useState } from 'preact/hooks'
import type { Snapshot } from '../../shared/overview/snapshot.ts'
import { count, ms, since, time, usd } from './format.ts'
import { queryOf, read } from './hub.ts'
import { Badge, Code, Empty, here, Panel, Part, Problem, Table } from './parts.tsx'

interface Step {
  step: number
  status: string
  output: string | null
  tool_calls: { id: string; name: string; arguments: string; result?: unknown; error?: unknown }[]
  usage?: { tokens: number; cost: number }
  error?: { message: string }
  started_at: string
  finished_at: string
}

const toneOf = (status: string) =>
  /failed|attention/.test(status)
    ? 'bad'
    : status === 'waiting'
      ? 'warn'
      : status === 'done'
        ? 'good'
        : 'plain'

/** Agents, and what one of them did step by step. */
export function AgentsView({ snapshot, tenant }: { snapshot: Snapshot; tenant: string | undefined }) {
  const [chosen, choose] = useState<string>()
  const agent = snapshot.agents?.data.find(({ id }) => id === chosen)
  return (
    <>
      <Panel title="Agents" note="those that took a step last, first">
        <Part part={snapshot.agents} name="Agents">
          {({ data, more }) => (
            <Table
              caption="Agents"
              columns={['Agent', 'Status', 'Role', 'Steps', 'Last step', 'Problem', '']}
              rows={data.map((one) => [
                <code>{one.id}</code>,
                <Badge tone={toneOf(one.status)}>{one.status.replace('_', ' ')}</Badge>,
                one.role,
                count(one.steps),
                since(one.last_step_at),
                one.error ?? '–',
                <button
                  type="button"
                  class="small"
                  aria-pressed={one.id === chosen}
                  aria-label={`Timeline of ${one.id}`}
                  onClick={() => choose(one.id === chosen ? undefined : one.id)}
                >
                  Timeline
                </button>,
              ])}
              more={more}
              empty={
                <Empty
                  curl={`curl -X PUT ${here()}/v1/agents/helper -H 'content-type: application/json' \\\n  -d '{"role":"custom","model":"local"}'`}
                >
                  There is no agent yet. Make one:
                </Empty>
              }
            />
          )}
        </Part>
      </Panel>
      {chosen !== undefined && agent && <Timeline id={chosen} version={agent.version} tenant={tenant} />}
    </>
  )
}

const SHOWN = 50

function Timeline({ id, version, tenant }: { id: string; version: number; tenant: string | undefined }) {
  const [steps, setSteps] = useState<Step[]>()
  const [problem, setProblem] = useState('')
  // Anew: a new version has new steps
  useEffect(() => {
    const leaving = new AbortController()
    const { signal } = leaving
    read<{ data: Step[] }>(`v1/agents/${id}/steps${queryOf({ limit: 1_000 })}`, { signal, tenant })
      .then(({ data }) => setSteps(data.slice(-SHOWN).reverse()))
      .catch(({ name, message }: Error) => name === 'AbortError' || setProblem(message))
    return () => leaving.abort()
  }, [id, version, tenant])
  return (
    <Panel title={`Timeline of ${id}`} note="the newest first">
      {problem && <Problem>{problem}</Problem>}
      {steps?.length === 0 && <p class="quiet">It took no step yet.</p>}
      <ol class="timeline">
        {steps?.map((step) => (
          <li key={step.step} class={toneOf(step.status)}>
            <header>
              <b>Step {step.step}</b>{' '}
              <Badge tone={toneOf(step.status)}>{step.status.replace('_', ' ')}</Badge>
              <span class="note">
                {time(step.started_at)} · {ms(Date.parse(step.finished_at) - Date.parse(step.started_at))}
                {step.usage && ` · ${count(step.usage.tokens)} tokens · ${usd(step.usage.cost)}`}
              </span>
            </header>
            {step.tool_calls.map((call) => (
              <details key={call.id}>
                <summary>
                  called <code>{call.name}</code>
                </summary>
                <Code>{JSON.stringify(call, null, 2)}</Code>
              </details>
            ))}
            {step.output && <p class="text">{step.output}</p>}
            {step.error && <p class="problem">{step.error.message}</p>}
          </li>
        ))}
      </ol>
    </Panel>
  )
}
