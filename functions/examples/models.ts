import type { Story } from './example.ts'

const model = 'forecast'
const version = '1'
const label = 'stable'
const view = 'halls'
const entity = 'hall-3'
const ask = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [[20, 5]] }] }
const rows = { name: 'forecasts' }

/** y = 2·x₀ + 3·x₁ + 1, of the type ONNX. */
const ONNX =
  'CAcSDHJlZGlzLWFpLWh1YjpvChQKAXgKAncwCgJiMBIBeSIER2VtbRIFZ3JhcGgqFAgCCAEQAUICdzBKCAAAAEAAAEBAKg4IARABQgJiMEoEAACAP1oUCgF4Eg8KDQgBEgkKAxIBbgoCCAJiFAoBeRIPCg0IARIJCgMSAW4KAggBQgQKABAN'

/** Models, pipelines, features and datasets. */
export const modelStory: Story = {
  'GET /v2/health/live': {},
  'GET /v2/health/ready': {},
  'GET /v2': {},
  'PUT /v2/models/{model}/versions/{version}': {
    ...{ path: { model, version }, query: { format: 'onnx' } },
    ...{ type: 'application/octet-stream', isBase64: true, body: ONNX },
  },
  'PUT /v2/models/{model}/labels/{label}': { path: { model, label }, body: { version } },
  'GET /v2/models': {},
  'GET /v2/models/{model}': { path: { model } },
  'GET /v2/models/{model}/ready': { path: { model } },
  'GET /v2/models/{model}/versions/{version}': { path: { model, version } },
  'GET /v2/models/{model}/versions/{version}/ready': { path: { model, version } },
  'POST /v2/models/{model}/infer': { path: { model }, body: ask },
  'POST /v2/models/{model}/versions/{version}/infer': { path: { model, version }, body: ask },
  'PUT /v1/feature-views/{view}': {
    path: { view },
    body: {
      features: { celsius: { type: 'float', min: -50, max: 200 }, people: { type: 'int', default: 0 } },
    },
  },
  'GET /v1/feature-views': {},
  'GET /v1/feature-views/{view}': { path: { view } },
  'PUT /v1/features/{view}/{entity}': {
    path: { view, entity },
    body: { features: { celsius: 20, people: 5 } },
  },
  'GET /v1/features/{view}/{entity}': { path: { view, entity } },
  'POST /v1/features/{view}': {
    path: { view },
    body: { rows: [{ entity: 'hall-4', features: { celsius: 18.5 } }] },
  },
  'POST /v1/features/{view}/query': {
    path: { view },
    body: { entities: [entity, 'hall-4'], features: ['celsius', 'people'] },
  },
  'PUT /v2/pipelines/{name}': {
    path: { name: 'forecast' },
    body: {
      inputs: { celsius: { type: 'number' }, people: { type: 'number', default: 0 } },
      preprocess: [{ op: 'concat', from: ['celsius', 'people'], as: 'x' }],
      models: [{ model }],
    },
  },
  'GET /v2/pipelines': {},
  'GET /v2/pipelines/{name}': { path: { name: 'forecast' } },
  'POST /v2/pipelines/{name}': { path: { name: 'forecast' }, body: { inputs: { celsius: 20, people: 5 } } },
  'PUT /v1/datasets/{name}': { path: rows, body: { max_rows: 100_000, max_age_days: 365 } },
  'POST /v1/datasets/{name}/rows': {
    path: rows,
    body: [
      { id: 'row-1', features: { celsius: 20, people: 5 }, output: 56 },
      { id: 'row-2', features: { celsius: 18.5, people: 0 }, output: 38 },
    ],
  },
  'POST /v1/datasets/{name}/labels': { path: rows, body: [{ id: 'row-1', label: 57 }] },
  'PUT /v1/datasets/{name}/rows/{id}/label': { path: { ...rows, id: 'row-2' }, body: { label: 37.5 } },
  'GET /v1/datasets/{name}': { path: rows, query: { labelled: 'true', limit: 100 } },
  'GET /v1/datasets': {},
  'GET /v1/datasets/{name}/stats': { path: rows },
  'GET /v1/datasets/{name}/skew': {
    path: rows,
    query: { reference_to: '2026-06-01T00:00:00Z', from: '2026-06-01T00:00:00Z' },
  },
  'DELETE /v1/datasets/{name}': { path: rows },
  'DELETE /v2/pipelines/{name}': { path: { name: 'forecast' } },
  'DELETE /v1/features/{view}/{entity}': { path: { view, entity } },
  'DELETE /v1/feature-views/{view}': { path: { view } },
  'DELETE /v2/models/{model}/labels/{label}': { path: { model, label } },
  'DELETE /v2/models/{model}/versions/{version}': { path: { model, version } },
}
