import { expect, test } from 'vitest'
import { readTelemetrySettings as read } from '../../infra/telemetry/settings.ts'

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/' }

test('nothing is sent where no endpoint is set', () => {
  expect(read({})).toMatchObject({ traces: undefined, metrics: undefined, serviceName: 'redis-ai-hub' })
  expect(read({ OTEL_EXPORTER_OTLP_ENDPOINT: '' }).traces).toBeUndefined()
})

test('the common endpoint has each signal’s path, a signal’s own is taken as it is', () => {
  expect(read(ENDPOINT)).toMatchObject({
    traces: { url: 'http://collector:4318/v1/traces' },
    metrics: { url: 'http://collector:4318/v1/metrics', intervalMs: 60_000 },
  })
  const own = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://t.example/in' }
  expect(read(own)).toMatchObject({ traces: { url: 'https://t.example/in' }, metrics: undefined })
})

test('signals are turned off, one or all', () => {
  expect(read({ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }).traces).toBeUndefined()
  expect(read({ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }).metrics).toBeDefined()
  const off = read({ ...ENDPOINT, OTEL_SDK_DISABLED: 'TRUE' })
  expect([off.traces, off.metrics]).toEqual([undefined, undefined])
})

test('headers and resource attributes are read as OpenTelemetry writes them', () => {
  const settings = read({
    ...ENDPOINT,
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20abc,x=1=2, bad',
    OTEL_RESOURCE_ATTRIBUTES: 'service.name=shop,deployment.environment.name=test',
  })
  expect(settings.traces?.headers).toEqual({ authorization: 'Bearer abc', x: '1=2' })
  expect(settings).toMatchObject({
    serviceName: 'shop',
    attributes: { 'deployment.environment.name': 'test' },
  })
})

test.each([
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }, /OTEL_EXPORTER_OTLP_ENDPOINT must be/],
  [{ ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, /OTLP over HTTP/],
  [{ ...ENDPOINT, OTEL_TRACES_SAMPLER: 'sometimes' }, /OTEL_TRACES_SAMPLER is sometimes/],
])('%o is refused by its name', (variables, message) => {
  expect(() => read(variables)).toThrow(message)
})
