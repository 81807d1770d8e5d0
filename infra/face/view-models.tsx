import type { Snapshot } from '../../shared/overview/snapshot.ts'
import { count, ms } from './format.ts'
import { Badge, Empty, here, Panel, Part, Table } from './parts.tsx'

/** Models that the hub serves itself, and how they did in the window. */
export function ModelsView({ snapshot }: { snapshot: Snapshot }) {
  const { minutes } = snapshot.window
  return (
    <Panel title="Served models" note={`the last ${minutes} minutes`}>
      <Part part={snapshot.models} name="Models">
        {({ data, more }) => (
          <Table
            caption="Served models"
            columns={['Model', 'Serves', 'Versions', 'Inferences', 'A minute', 'Errors', 'p50', 'p95', 'p99']}
            rows={data.map((one) => [
              <code>{one.name}</code>,
              <>
                {one.default_version}{' '}
                {Object.entries(one.labels).map(([label, version]) => (
                  <Badge key={label} tone="plain">{`${label} ${version}`}</Badge>
                ))}
              </>,
              one.versions.join(', '),
              count(one.inferences),
              (one.inferences / minutes).toFixed(1),
              count(one.errors),
              ms(one.total_ms.p50),
              ms(one.total_ms.p95),
              ms(one.total_ms.p99),
            ])}
            more={more}
            empty={
              <Empty
                curl={`curl -X PUT ${here()}/v2/models/iris/versions/1 -H 'content-type: application/octet-stream' \\\n  --data-binary @iris.onnx`}
              >
                No model is served yet. Upload one in ONNX:
              </Empty>
            }
          />
        )}
      </Part>
    </Panel>
  )
}
