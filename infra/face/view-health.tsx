import type { Snapshot } from '../../shared/overview/snapshot.ts'
import { count, dayAndTime, seconds, share, since, time } from './format.ts'
import { Badge, Empty, here, Panel, Part, Table } from './parts.tsx'

const TONES = { closed: 'good', open: 'bad', 'half-open': 'warn' } as const

/** Providers and their breakers, alerts, schedules that fail, and the instance that answers. */
export function HealthView({ snapshot }: { snapshot: Snapshot }) {
  const { breakers, alerts, schedules, instance, errors } = snapshot
  return (
    <>
      {errors.length > 0 && (
        <Panel title="What could not be read">
          <ul class="problems">
            {errors.map(({ part, message }) => (
              <li key={part}>
                <b>{part}</b> {message}
              </li>
            ))}
          </ul>
        </Panel>
      )}
      <Panel title="Providers and breakers" note="those that counted a failure or were set within a day">
        <Part part={breakers} name="Breakers">
          {({ data, more }) => (
            <Table
              caption="Breakers"
              columns={['Model', 'State', 'Failures', 'Calls', 'Changes in', 'Tenant']}
              rows={data.map((one) => [
                <code>{one.name}</code>,
                <>
                  <Badge tone={TONES[one.state]}>{one.state}</Badge>
                  {one.manual && <span class="note"> by hand</span>}
                </>,
                share(one.failure_rate),
                count(one.succeeded + one.failed),
                seconds(one.seconds_left),
                one.tenant,
              ])}
              more={more}
              empty="All providers are well: no breaker counted a failure within a day."
            />
          )}
        </Part>
      </Panel>
      <div class="grid">
        <Panel title="Alert rules">
          <Part part={alerts} name="Alerts">
            {({ rules }) => (
              <Table
                caption="Alert rules"
                columns={['Rule', 'State', 'Kind', 'On', 'Fired']}
                rows={rules.data.map((rule) => [
                  rule.name,
                  rule.quiet_until ? <Badge tone="bad">firing</Badge> : <Badge tone="good">quiet</Badge>,
                  rule.type,
                  <code>{rule.on}</code>,
                  since(rule.fired_at),
                ])}
                more={rules.more}
                empty={
                  <Empty
                    curl={`curl -X PUT ${here()}/v1/alerts/too-hot -H 'content-type: application/json' \\\n  -d '{"on":{"stream":"readings"},"when":{"type":"threshold","path":"data.celsius","op":"gt","value":30}}'`}
                  >
                    There is no alert rule yet. Set one:
                  </Empty>
                }
              />
            )}
          </Part>
        </Panel>
        <Panel title="Latest alerts">
          <Part part={alerts} name="Alerts">
            {({ latest }) => (
              <Table
                caption="Latest alerts"
                columns={['When', 'Rule', 'Kind']}
                rows={latest.map(({ at, rule, type }) => [time(at), rule, type])}
                empty="No alert was sent."
              />
            )}
          </Part>
        </Panel>
        <Panel title="Schedules that failed">
          <Part part={schedules} name="Schedules">
            {({ data, more }) => (
              <Table
                caption="Schedules that failed the last time"
                columns={['Schedule', 'Why', 'Failures', 'Next run']}
                rows={data.map((one) => [
                  one.name,
                  one.last_error?.message ?? '–',
                  count(one.consecutive_failures),
                  dayAndTime(one.next_run),
                ])}
                more={more}
                empty="Every schedule ended well the last time."
              />
            )}
          </Part>
        </Panel>
        <Panel title="This instance">
          <dl class="facts">
            <dt>Version</dt>
            <dd>{instance.version}</dd>
            <dt>Up for</dt>
            <dd>{seconds(instance.uptime_seconds)}</dd>
            <dt>Redis</dt>
            <dd>
              <Badge tone={instance.redis === 'ok' ? 'good' : 'bad'}>{instance.redis}</Badge>
            </dd>
            <dt>Functions</dt>
            <dd>{instance.functions.join(', ')}</dd>
          </dl>
        </Panel>
      </div>
    </>
  )
}
