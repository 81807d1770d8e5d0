import type { Snapshot } from '../../shared/overview/snapshot.ts'
import { count, share, usd } from './format.ts'
import { Empty, here, Meter, Panel, Part, Table } from './parts.tsx'

const SPENT = ['Requests', 'Input tokens', 'Output tokens', 'Cost', 'Saved']

/** Tokens and money of today by model and by key, and how much of limits and budgets is left. */
export function CostView({ snapshot: { usage, limits, tenant } }: { snapshot: Snapshot }) {
  return (
    <>
      <Part part={usage} name="Usage">
        {({ models, keys, day, total }) => (
          <>
            <Panel title="By model" note={`${day}, UTC`}>
              <Table
                caption="Usage by model"
                columns={['Model', ...SPENT]}
                rows={models.data.map(({ model, ...spent }) => [<code>{model}</code>, ...spentOf(spent)])}
                more={models.more}
                empty="No model was asked today."
              />
            </Panel>
            <Panel title="By key" note={`${usd(total.cost)} in all, ${usd(total.saved)} saved`}>
              <Table
                caption="Usage by key"
                columns={['Key', ...SPENT]}
                rows={keys.data.map(({ key, name, ...spent }) => [keyName(key, name), ...spentOf(spent)])}
                more={keys.more}
                empty="No key was used today."
              />
            </Panel>
          </>
        )}
      </Part>
      <Part part={limits} name="Limits">
        {(limits) => {
          const all = [
            { who: `Tenant ${tenant}`, bounds: limits.tenant },
            ...limits.keys.data.map((key) => ({ who: keyName(key.id, key.name), bounds: key })),
          ]
          const limitRows = all.flatMap(({ who, bounds }) =>
            bounds.limits.map(({ on, limit, window_seconds, remaining }) => [
              who,
              `${count(limit)} ${on} in ${count(window_seconds)} s`,
              remaining === null ? '–' : count(Math.max(0, remaining)),
              remaining === null ? '–' : <Meter part={1 - remaining / limit} label={`used of ${on}`} />,
            ]),
          )
          const budgetRows = all.flatMap(({ who, bounds: { budget } }) =>
            budget === null
              ? []
              : [
                  [
                    who,
                    `${usd(budget.usd)} ${budget.period}`,
                    usd(budget.spent_usd),
                    usd(budget.held_usd),
                    share(budget.usd === 0 ? 1 : budget.spent_usd / budget.usd),
                    <Meter
                      part={budget.usd === 0 ? 1 : budget.spent_usd / budget.usd}
                      label="spent of the budget"
                    />,
                  ],
                ],
          )
          return (
            <div class="grid">
              <Panel title="Limits">
                <Table
                  caption="Limits"
                  columns={['Whose', 'Limit', 'Left', 'Used']}
                  rows={limitRows}
                  more={limits.keys.more}
                  empty={
                    <Empty
                      curl={`curl -X PUT ${here()}/v1/tenants/${tenant} -H 'content-type: application/json' \\\n  -d '{"limits":[{"on":"requests","limit":600,"window_seconds":60}]}'`}
                    >
                      Nobody has a limit. Set one for a tenant, or for a key when you make it:
                    </Empty>
                  }
                />
              </Panel>
              <Panel title="Budgets">
                <Table
                  caption="Budgets"
                  columns={['Whose', 'Budget', 'Spent', 'Held', 'Part', 'Used']}
                  rows={budgetRows}
                  empty={
                    <Empty
                      curl={`curl ${here()}/v1/keys -H 'content-type: application/json' \\\n  -d '{"tenant":"${tenant}","name":"web","budget":{"usd":20,"period":"monthly"}}'`}
                    >
                      Nobody has a budget. Make a key with one:
                    </Empty>
                  }
                />
              </Panel>
            </div>
          )
        }}
      </Part>
    </>
  )
}

interface Spent {
  requests: number
  input_tokens: number
  output_tokens: number
  cost: number
  saved: number
}

const spentOf = ({ requests, input_tokens, output_tokens, cost, saved }: Spent) => [
  count(requests),
  count(input_tokens),
  count(output_tokens),
  usd(cost),
  usd(saved),
]

const keyName = (id: string, name: string | null) =>
  id === 'none' ? 'Without a key' : name === null ? <code>{id}</code> : name
