import type { Snapshot } from '../../shared/overview/snapshot.ts'
import { Chart } from './chart.tsx'
import { count, ms, share, time, usd } from './format.ts'
import { Badge, Empty, here, Panel, Part } from './parts.tsx'

interface Props {
  snapshot: Snapshot
  theme: string
  go(tab: string): void
}

const HITS = ['exact', 'semantic', 'stale', 'collapsed'] as const

/** How the hub does: the figures, what needs a look, and the last hour as lines. */
export function OverviewView({ snapshot, theme, go }: Props) {
  return (
    <>
      <Attention snapshot={snapshot} go={go} />
      <Part part={snapshot.traffic} name="Completions">
        {({ total, minutes }) => {
          const at = minutes.map((minute) => minute.at)
          const of = (value: (minute: (typeof minutes)[number]) => number | null) => minutes.map(value)
          const errors = total.errors.client + total.errors.limited + total.errors.server
          return (
            <>
              <dl class="figures">
                <Figure name="Requests" value={count(total.requests)} note={`${count(errors)} failed`} />
                <Figure
                  name="Hit rate"
                  value={share(total.hit_rate.all)}
                  note={`exact ${share(total.hit_rate.exact)} · semantic ${share(total.hit_rate.semantic)} · collapsed ${share(total.hit_rate.collapsed)}`}
                />
                <Figure name="Saved" value={usd(total.saved)} note={`${usd(total.cost)} spent`} />
                <Figure
                  name="Latency, median"
                  value={ms(total.total_ms.p50)}
                  note={`p95 ${ms(total.total_ms.p95)} · p99 ${ms(total.total_ms.p99)}`}
                />
                <Figure
                  name="Tokens"
                  value={count(total.input_tokens + total.output_tokens)}
                  note={`${count(total.saved_tokens)} saved`}
                />
              </dl>
              {total.requests === 0 ? (
                <Panel title="No completions yet">
                  <Empty
                    curl={`curl ${here()}/v1/chat/completions -H 'content-type: application/json' \\\n  -d '{"model":"local/local","messages":[{"role":"user","content":"Hello"}]}'`}
                  >
                    Nobody asked for a completion in this window. Ask for one under “Try it”, or from a shell:
                  </Empty>
                </Panel>
              ) : (
                <div class="grid">
                  <Chart
                    {...{ title: 'Requests a minute', at, theme, show: count }}
                    lines={[
                      { label: 'All', color: 'blue', values: of((m) => m.requests), filled: true },
                      {
                        label: 'From the cache',
                        color: 'green',
                        values: of((m) => HITS.reduce((sum, name) => sum + m.verdicts[name], 0)),
                        filled: true,
                      },
                      {
                        label: 'Failed',
                        color: 'red',
                        values: of((m) => m.errors.client + m.errors.limited + m.errors.server),
                      },
                    ]}
                  />
                  <Chart
                    {...{ title: 'Latency', at, theme, show: ms }}
                    lines={[
                      { label: 'p50', color: 'blue', values: of((m) => m.total_ms.p50) },
                      { label: 'p95', color: 'violet', values: of((m) => m.total_ms.p95) },
                      { label: 'p99', color: 'amber', values: of((m) => m.total_ms.p99) },
                    ]}
                  />
                  <Chart
                    {...{ title: 'Money', at, theme, show: usd }}
                    lines={[
                      { label: 'Spent', color: 'amber', values: of((m) => m.cost), filled: true },
                      { label: 'Saved', color: 'green', values: of((m) => m.saved), filled: true },
                    ]}
                  />
                  <Chart
                    {...{ title: 'Tokens a minute', at, theme, show: count }}
                    lines={[
                      { label: 'Input', color: 'blue', values: of((m) => m.input_tokens), filled: true },
                      { label: 'Output', color: 'violet', values: of((m) => m.output_tokens) },
                      { label: 'Saved', color: 'green', values: of((m) => m.saved_tokens) },
                    ]}
                  />
                </div>
              )}
            </>
          )
        }}
      </Part>
    </>
  )
}

const Figure = ({ name, value, note }: { name: string; value: string; note: string }) => (
  <div class="figure panel">
    <dt>{name}</dt>
    <dd>
      <strong>{value}</strong>
      <span class="note">{note}</span>
    </dd>
  </div>
)

/** What somebody should look at, and where. */
function Attention({ snapshot, go }: { snapshot: Snapshot; go(tab: string): void }) {
  const { breakers, streams, queues, agents, alerts, schedules, errors, instance } = snapshot
  const open = breakers?.data.filter(({ state }) => state !== 'closed') ?? []
  const dead = [...(streams?.data ?? []), ...(queues?.data ?? [])].reduce((sum, one) => sum + one.dead, 0)
  const stuck = agents?.data.filter(({ status }) => /failed|attention/.test(status)) ?? []
  const quiet = alerts?.rules.data.filter(({ quiet_until }) => quiet_until !== null) ?? []
  const items = [
    ...(instance.redis === 'degraded' ? [{ text: 'Redis did not answer in time', tab: 'Health' }] : []),
    ...open.map(({ name, state }) => ({ text: `The breaker of ${name} is ${state}`, tab: 'Health' })),
    ...(dead > 0
      ? [{ text: `${count(dead)} dead ${dead === 1 ? 'letter' : 'letters'} to look at`, tab: 'Work' }]
      : []),
    ...stuck.map(({ id, status }) => ({
      text: `The agent ${id}: ${status.replace('_', ' ')}`,
      tab: 'Agents',
    })),
    ...quiet.map(({ name, fired_at }) => ({
      text: `The alert ${name} fired at ${time(fired_at)}`,
      tab: 'Health',
    })),
    ...(schedules?.data ?? []).map(({ name }) => ({
      text: `The schedule ${name} failed the last time`,
      tab: 'Health',
    })),
    ...errors.map(({ part, message }) => ({ text: `${part} could not be read: ${message}`, tab: 'Health' })),
  ]
  if (items.length === 0) return null
  return (
    <section class="panel attention" aria-label="To look at">
      <Badge tone="warn">{`${items.length} to look at`}</Badge>
      <ul>
        {items.slice(0, 6).map(({ text, tab }) => (
          <li key={text}>
            <button type="button" class="link" onClick={() => go(tab)}>
              {text}
            </button>
          </li>
        ))}
        {items.length > 6 && <li class="quiet">and {items.length - 6} more</li>}
      </ul>
    </section>
  )
}
