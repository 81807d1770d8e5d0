import { type Command, hubOptions, UsageError } from './command.ts'
import { runEmbedderExample } from './example-embedder.ts'
import { runIrisExample } from './example-iris.ts'
import { runSensorExample } from './example-sensor.ts'
import { createHubClient } from './hub-client.ts'

const EXAMPLES = { sensor: runSensorExample, iris: runIrisExample, embedder: runEmbedderExample }

/** Each one makes its model, sets it up in the hub, and shows it at work. */
export const example: Command = {
  usage: 'sensor|iris|embedder',
  about: 'sets up an example of inference, with a model that it trains, and runs it',
  options: hubOptions,

  async run(call) {
    const [name, ...more] = call.positionals
    if (name === undefined || more.length > 0 || !Object.hasOwn(EXAMPLES, name))
      throw new UsageError(`Name one example: ${Object.keys(EXAMPLES).join(', ')}.`)
    const asJson = call.values.json === true
    const say = (line: string) => asJson || console.log(line)
    const summary = await EXAMPLES[name as keyof typeof EXAMPLES](createHubClient(call), say)
    if (asJson) console.log(JSON.stringify(summary))
    return 0
  },
}
