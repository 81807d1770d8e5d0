import { type Command, textOption, UsageError } from './command.ts'

export const start: Command = {
  usage: '[--port <number>] [--host <address>] [--redis <url>]',
  about: 'starts a hub on this machine, and a Redis for it where none is named',
  options: {
    port: { type: 'string', value: 'number', about: 'PORT, else 8787; 0: any that is free' },
    host: { type: 'string', value: 'address', about: 'HOST, else 127.0.0.1; others need HUB_ADMIN_KEY' },
    redis: {
      type: 'string',
      value: 'url',
      about: 'REDIS_URL; without one Redis is found or fetched, and run',
    },
    json: { type: 'boolean', about: 'for programs: each line is JSON' },
  },
  examples: ['start', 'start --port 9000 --redis redis://127.0.0.1:6379'],
  ownsSignals: true,

  async run(call) {
    if (call.positionals.length > 0) throw new UsageError('It takes options only.')
    const [port, host, redis] = ['port', 'host', 'redis'].map((name) => textOption(call, name))
    const variables = {
      ...call.env,
      ...(port !== undefined && { PORT: port }),
      ...(host !== undefined && { HOST: host }),
      ...(redis !== undefined && { REDIS_URL: redis }),
    }
    const { serveHub } = await import('../node.ts')
    await serveHub({ variables, asJson: call.values.json === true })
    return new Promise<never>(() => {}) // it ends the process
  },
}
