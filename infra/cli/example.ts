import { type Command, hubOptions, UsageError } from './command.ts'
import { runEmbedderExample } from './example-embedder.ts'
import { runIotExample } from './example-iot.ts'
import { runIrisExample } from './example-iris.ts'
import { runMicroserviceExample } from './example-microservice.ts'
import type { Say } from './example-model.ts'
import { runSensorExample } from './example-sensor.ts'
import { runWebAppExample } from './example-web-app.ts'
import { createHubClient, type HubClient, keyOf } from './hub-client.ts'

export interface ExampleCall {
  hub: HubClient
  /** For what the example starts. */
  key: string | undefined
  say: Say
  /** Ctrl-C. */
  signal: AbortSignal
}

const EXAMPLES: Record<string, (call: ExampleCall) => Promise<object>> = {
  sensor: ({ hub, say }) => runSensorExample(hub, say),
  iris: ({ hub, say }) => runIrisExample(hub, say),
  embedder: ({ hub, say }) => runEmbedderExample(hub, say),
  'web-app': runWebAppExample,
  microservice: runMicroserviceExample,
  iot: runIotExample,
}

/** Those of inference make their model first. */
export const example: Command = {
  usage: 'sensor|iris|embedder|web-app|microservice|iot',
  about: 'sets up an example and shows it at work: of inference, or of an application',
  options: hubOptions,

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
