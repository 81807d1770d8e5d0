import { type Command, hubOptions, UsageError } from './command.ts'
import type { Say } from './example-model.ts'
import { createHubClient, type HubClient, keyOf } from './hub-client.ts'

export interface ExampleCall {
  hub: HubClient
  /** For what the example starts. */
  key: string | undefined
  say: Say
  /** Ctrl-C. */
  signal: AbortSignal
}

/** Loaded when they run: other commands start sooner. */
const EXAMPLES: Record<string, (call: ExampleCall) => Promise<object>> = {
  sensor: async ({ hub, say }) => (await import('./example-sensor.ts')).runSensorExample(hub, say),
  iris: async ({ hub, say }) => (await import('./example-iris.ts')).runIrisExample(hub, say),
  embedder: async ({ hub, say }) => (await import('./example-embedder.ts')).runEmbedderExample(hub, say),
  'web-app': async (call) => (await import('./example-web-app.ts')).runWebAppExample(call),
  microservice: async (call) => (await import('./example-microservice.ts')).runMicroserviceExample(call),
  iot: async (call) => (await import('./example-iot.ts')).runIotExample(call),
}

/** Those of inference make their model first. */
export const example: Command = {
  usage: 'sensor|iris|embedder|web-app|microservice|iot',
  about: 'sets up an example and shows it at work: of inference, or of an application',
  options: hubOptions,
  examples: ['example iris', 'example microservice'],

  async run(call) {
    const [name, ...more] = call.positionals
    if (name === undefined || more.length > 0 || !Object.hasOwn(EXAMPLES, name))
      throw new UsageError(`Name one example: ${Object.keys(EXAMPLES).join(', ')}.`)
    const asJson = call.values.json === true
    const say = (line: string) => asJson || console.log(line)
    const { signal } = call
    const summary = await EXAMPLES[name]!({ hub: createHubClient(call), key: keyOf(call), say, signal })
    if (asJson) console.log(JSON.stringify(summary))
    return 0
  },
}
