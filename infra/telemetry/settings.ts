/** What OpenTelemetry's own environment variables say, as far as the hub heeds them. */
export interface TelemetrySettings {
  serviceName: string
  /** Of `OTEL_RESOURCE_ATTRIBUTES`. */
  attributes: Record<string, string>
  /** Where spans go by OTLP over HTTP; undefined: nobody traces. */
  traces?: OtlpTarget
  /** Where metrics go besides `/metrics`. */
  metrics?: OtlpTarget & { intervalMs: number }
  sampler: { name: string; arg: string | undefined }
  /** Prompts, answers and arguments of tools go into spans. */
  captureContent: boolean
}

interface OtlpTarget {
  url: string
  headers: Record<string, string>
}

type Variables = Record<string, string | undefined>

const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
]

/** Reads them. Throws one error that names the variable that is not right. */
export function readTelemetrySettings(variables: Variables): TelemetrySettings {
  const get = (name: string) => variables[name]?.trim() || undefined
  const off = get('OTEL_SDK_DISABLED')?.toLowerCase() === 'true'
  const attributes = pairsOf(get('OTEL_RESOURCE_ATTRIBUTES'))
  const name = get('OTEL_TRACES_SAMPLER') ?? 'parentbased_always_on'
  if (!SAMPLERS.includes(name)) {
    throw new Error(`OTEL_TRACES_SAMPLER is ${name}: it must be one of ${SAMPLERS.join(', ')}.`)
  }
  const metrics = off ? undefined : target(variables, 'metrics')
  return {
    serviceName: get('OTEL_SERVICE_NAME') ?? attributes['service.name'] ?? 'redis-ai-hub',
    attributes,
    traces: off ? undefined : target(variables, 'traces'),
    metrics: metrics && { ...metrics, intervalMs: Number(get('OTEL_METRIC_EXPORT_INTERVAL') ?? 60_000) },
    sampler: { name, arg: get('OTEL_TRACES_SAMPLER_ARG') },
    captureContent:
      get('OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT')?.toLowerCase() === 'true' ||
      /^span/i.test(get('OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT') ?? ''),
  }
}

/** The signal's own endpoint as it is, or the common one with the signal's path. */
function target(variables: Variables, signal: 'traces' | 'metrics'): OtlpTarget | undefined {
  const of = (name: string) => variables[name]?.trim() || undefined
  const own = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}`
  const common = of('OTEL_EXPORTER_OTLP_ENDPOINT')
  const url = of(`${own}_ENDPOINT`) ?? (common && `${common.replace(/\/+$/, '')}/v1/${signal}`)
  if (!url || of(`OTEL_${signal.toUpperCase()}_EXPORTER`) === 'none') return undefined
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new Error('OTEL_EXPORTER_OTLP_ENDPOINT must be an http(s) URL, as http://127.0.0.1:4318.')
  }
  const protocol = of(`${own}_PROTOCOL`) ?? of('OTEL_EXPORTER_OTLP_PROTOCOL')
  if (protocol === 'grpc') {
    throw new Error('OTEL_EXPORTER_OTLP_PROTOCOL is grpc: the hub speaks OTLP over HTTP (port 4318) only.')
  }
  const headers = pairsOf(of(`${own}_HEADERS`) ?? of('OTEL_EXPORTER_OTLP_HEADERS'))
  return { url, headers }
}

/** `a=1,b=2`, values percent-encoded. */
function pairsOf(text = ''): Record<string, string> {
  return Object.fromEntries(
    text.split(',').flatMap((pair) => {
      const at = pair.indexOf('=')
      return at > 0 ? [[pair.slice(0, at).trim(), decode(pair.slice(at + 1).trim())]] : []
    }),
  )
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
