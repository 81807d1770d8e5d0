import { connectRedis, wire } from '../../infra/wire.ts'
import type { Command, Redis, ScriptCall } from '../../shared/ports/redis.ts'
import { measureLanggraphSteps } from './agent-step.langgraph.ts'
import type { Bench } from './bench.ts'
import { percentile, round } from './statistics.ts'

const STEPS = 1_200
/** A conversation ends after so many steps, as LangGraph's do here. */
const STEPS_AN_AGENT = 20
const WARM_UP = 100

const LINE = '@tool log {"message":"The weather in Berlin: 21 degrees."}'

/**
 * A step of an agent, one after another: a message comes in, a model answers at once with a tool call, the tool answers, and all is committed.
 * In this process, without sockets to callers, like LangGraph's beside it. The hub's model is the local one, through the completion path: what
 * that costs alone is measured too.
 */
export async function agentStep(bench: Bench): Promise<void> {
  const waves: string[][] = []
  const quiet = { info() {}, error: (line: object) => bench.print({ error: line }) }
  const hub = wire(
    { REDIS_URL: bench.redis.url },
    { sharesRequests: true, tallyDelayMs: 1_000, keySecret: 'a secret of this bench', log: quiet },
    (env, log) => {
      const connections = connectRedis(env, log)
      const redis = noting(connections.redis, waves)
      return { ...connections, redis, cacheRedis: redis }
    },
  )
  let deferred: Promise<unknown>[] = []
  const defer = (work: Promise<unknown>) => void deferred.push(work)
  async function call(method: string, path: string, body: object): Promise<Record<string, unknown>> {
    const headers = { host: 'localhost', 'content-type': 'application/json' }
    const reply = await hub.app.request(path, { method, headers, body: JSON.stringify(body) }, { defer })
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`)
    return reply.json()
  }
  const settled = async () => {
    while (deferred.length > 0) await Promise.all(deferred.splice(0))
    deferred = []
  }

  try {
    bench.progress('steps of the hub …')
    const instructions = Array(STEPS_AN_AGENT).fill(LINE).join('\n')
    const times: number[] = []
    const cpu = process.cpuUsage()
    let agent = ''
    for (let n = -WARM_UP; n < STEPS; n++) {
      if ((n + WARM_UP) % STEPS_AN_AGENT === 0) {
        agent = `agent-${crypto.randomUUID()}`
        const settings = { role: 'custom', model: 'local/local', instructions, tools: ['log'] }
        await call('PUT', `/v1/agents/${agent}`, { ...settings, limits: { steps: 1_000 } })
      }
      waves.length = 0
      const began = performance.now()
      const step = await call('POST', `/v1/agents/${agent}/steps`, {
        input: 'What is the weather in Berlin?',
      })
      const replied = performance.now()
      if (step.status !== 'running' || (step.tool_calls as unknown[]).length !== 1)
        throw new Error(`A step ended as ${JSON.stringify(step)}`)
      if (n >= 0) times.push(replied - began)
    }
    const { user, system } = process.cpuUsage(cpu)
    await settled()
    const lastWaves = waves.map((names) => names.join('+'))

    bench.progress('completions alone …')
    const completions: number[] = []
    const tools = [{ type: 'function', function: { name: 'log', parameters: { type: 'object' } } }]
    for (let n = -WARM_UP; n < STEPS; n++) {
      const messages = [
        { role: 'system', content: instructions },
        { role: 'user', content: `What is the weather in Berlin? ${crypto.randomUUID()}` },
      ]
      const began = performance.now()
      await call('POST', '/v1/chat/completions', { model: 'local/local', messages, tools })
      if (n >= 0) completions.push(performance.now() - began)
    }
    await settled()
    const line = (target: string, values: readonly number[]) => ({
      target,
      steps: values.length,
      p50_ms: round(percentile(values, 50), 3),
      p99_ms: round(percentile(values, 99), 3),
    })
    const step = line('hub', times)
    const model = line('hub-completion-alone', completions)
    bench.print({ ...step, cpu_ms: round((user + system) / 1_000 / (STEPS + WARM_UP), 3), waves: lastWaves })
    bench.print(model)

    bench.progress('steps of LangGraph.js …')
    const others = await measureLanggraphSteps(bench.redis.url, STEPS)
    for (const other of others) bench.print(other)
    const without = step.p50_ms - model.p50_ms
    bench.print({
      step_without_completion_p50_ms: round(without, 3),
      times: Object.fromEntries(
        others.flatMap(({ target, p50_ms }) =>
          p50_ms === undefined ? [] : [[`step_of_${target}`, round(step.p50_ms / p50_ms, 2)]],
        ),
      ),
    })
  } finally {
    await hub.close()
  }
}

/** What each wave asks Redis, by the names of scripts and commands. */
function noting(redis: Redis, waves: string[][]): Redis {
  return {
    ...redis,
    wave(calls: readonly (Command | ScriptCall)[], options) {
      waves.push(calls.map((call) => ('script' in call ? call.script.name : call[0])))
      return redis.wave(calls, options)
    },
  }
}
