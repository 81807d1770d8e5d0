interface Instrument {
  kind: 'histogram' | 'counter' | 'gauge' | 'total'
  /** UCUM */
  unit: string
  description: string
  buckets?: number[]
}

const seconds = (description: string, buckets: number[]): Instrument => ({
  ...{ kind: 'histogram', unit: 's', description, buckets },
})
const counter = (description: string, unit = ''): Instrument => ({ kind: 'counter', unit, description })

/** By the semantic conventions' advice, with finer ones below: an answer from the cache takes a millisecond. */
const REQUESTS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const WAVES = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]
const MODELS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
const TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576]

/** Everything that is recorded as it happens: names of OpenTelemetry's semantic conventions where there are some, else `hub.…`. */
export const INSTRUMENTS = {
  'http.server.request.duration': seconds('Until the head of the answer, by route and status', REQUESTS),
  'db.client.operation.duration': seconds('Waves of commands to Redis', WAVES),
  'gen_ai.client.operation.duration': seconds('Calls of models, until the end of the answer', MODELS),
  'gen_ai.client.operation.time_to_first_chunk': seconds('Streams of models, until the first chunk', MODELS),
  'gen_ai.client.token.usage': {
    ...{ kind: 'histogram', unit: '{token}', description: 'Tokens that providers counted', buckets: TOKENS },
  },
  'hub.completion.duration': seconds('All completions, by where the answer came from', REQUESTS),
  'hub.completion.cost.usd': counter('USD that providers were paid'),
  'hub.completion.saved.usd': counter('USD that the cache saved'),
  'hub.completion.saved.tokens': counter('Tokens that the cache saved'),
  'hub.provider.errors': counter('Completions that providers failed'),
} satisfies Record<string, Instrument>

export type InstrumentName = keyof typeof INSTRUMENTS

/** Everything that is looked up when somebody asks. */
export const SAMPLED = {
  'hub.breaker.state': { kind: 'gauge', unit: '', description: '0 closed, 0.5 half-open, 1 open' },
  'hub.stream.lag': { kind: 'gauge', unit: '{event}', description: 'Events that wait for their handler' },
  'hub.stream.pending': { kind: 'gauge', unit: '{event}', description: 'Events in the hands of workers' },
  'hub.stream.dead': { kind: 'gauge', unit: '{event}', description: 'Events that were given up' },
  'process.memory.usage': { kind: 'gauge', unit: 'By', description: 'Resident memory' },
  'v8js.memory.heap.used': { kind: 'gauge', unit: 'By', description: 'Memory of JavaScript objects' },
  'process.uptime': { kind: 'gauge', unit: 's', description: 'Since the process began' },
  'process.cpu.time': { kind: 'total', unit: 's', description: 'CPU time of the process' },
  'nodejs.eventloop.delay.p50': { kind: 'gauge', unit: 's', description: 'Delay of the event loop, median' },
  'nodejs.eventloop.delay.p99': { kind: 'gauge', unit: 's', description: 'Delay of the event loop, 99 %' },
} satisfies Record<string, Instrument>

export type SampledName = keyof typeof SAMPLED

export interface Sample {
  name: SampledName
  value: number
  attributes?: Record<string, string>
}
