import { AIMessage, type BaseMessage, HumanMessage, ToolMessage } from '@langchain/core/messages'
import {
  type BaseCheckpointSaver,
  END,
  MemorySaver,
  MessagesAnnotation,
  START,
  StateGraph,
} from '@langchain/langgraph'
import { createCheckpointSaver } from '../../infra/langgraph.ts'
import { createRedisResp } from '../../shared/drivers/redis-resp.ts'
import { percentile, round } from './statistics.ts'

export interface LanggraphSteps {
  target: 'langgraph-memory' | 'langgraph-this-saver' | 'langgraph-checkpoint-redis'
  steps?: number
  p50_ms?: number
  p99_ms?: number
  /** Why it was not measured. */
  not_run?: string
}

/** A conversation ends after so many steps, and a new thread begins: each step stores all messages so far. */
const STEPS_A_THREAD = 20
const ROUNDS = 3

/**
 * The same step in LangGraph.js, one after another: a message comes in, a model answers at once with a tool call, the tool answers, and both
 * are appended; it ends when its checkpoints are stored. With checkpoints in this process, and in Redis by this saver.
 */
export async function measureLanggraphSteps(redisUrl: string, steps: number): Promise<LanggraphSteps[]> {
  const redisSaver = createCheckpointSaver({ url: redisUrl, tenant: 'bench' })
  const savers = { 'langgraph-memory': new MemorySaver(), 'langgraph-this-saver': redisSaver } as const
  const measured = Object.entries(savers).map(([target, saver]) => ({
    target: target as keyof typeof savers,
    graph: graphOf(saver),
    times: [] as number[],
  }))
  try {
    for (const { graph } of measured) await run(graph, STEPS_A_THREAD)
    for (let number = 0; number < ROUNDS; number++) {
      for (const { graph, times } of measured) times.push(...(await run(graph, Math.ceil(steps / ROUNDS))))
    }
  } finally {
    await redisSaver.close()
  }
  const rows = measured.map(({ target, times }): LanggraphSteps => {
    const [p50, p99] = [percentile(times, 50), percentile(times, 99)]
    return { target, steps: times.length, p50_ms: round(p50, 3), p99_ms: round(p99, 3) }
  })
  return [...rows, { target: 'langgraph-checkpoint-redis', not_run: await whyNotTheirs(redisUrl) }]
}

function graphOf(checkpointer: BaseCheckpointSaver) {
  let calls = 0
  return new StateGraph(MessagesAnnotation)
    .addNode('model', () => {
      const call = { id: `call_${++calls}`, name: 'get_weather', args: { city: 'Berlin' } }
      return { messages: [new AIMessage({ content: '', tool_calls: [call] })] }
    })
    .addNode('tools', ({ messages }) => {
      const [call] = (messages.at(-1) as AIMessage).tool_calls!
      return { messages: [new ToolMessage({ content: '{"celsius":21}', tool_call_id: call!.id! })] }
    })
    .addEdge(START, 'model')
    .addEdge('model', 'tools')
    .addEdge('tools', END)
    .compile({ checkpointer })
}

/** The time of each step, in ms. */
async function run(graph: ReturnType<typeof graphOf>, steps: number): Promise<number[]> {
  const times: number[] = []
  let config = newThread()
  for (let step = 0; step < steps; step++) {
    if (step % STEPS_A_THREAD === 0) config = newThread()
    const began = performance.now()
    const end = await graph.invoke({ messages: [new HumanMessage('What is the weather in Berlin?')] }, config)
    times.push(performance.now() - began)
    const expected = 3 * ((step % STEPS_A_THREAD) + 1)
    if ((end.messages as BaseMessage[]).length !== expected)
      throw new Error(`A step of LangGraph left ${end.messages.length} messages, not ${expected}`)
  }
  return times
}

const newThread = () => ({ configurable: { thread_id: crypto.randomUUID() } })

/** @langchain/langgraph-checkpoint-redis stores JSON documents and finds them by search. */
async function whyNotTheirs(url: string): Promise<string> {
  const redis = createRedisResp({ url })
  const [commands] = await redis.wave([['COMMAND', 'INFO', 'JSON.SET', 'FT.SEARCH']], { timeoutMs: 5_000 })
  await redis.close()
  const missing = ['RedisJSON', 'RediSearch'].filter((_, i) => !(commands as unknown[])[i])
  return missing.length > 0
    ? `it needs ${missing.join(' and ')}, which this Redis does not have`
    : 'it is no dependency of this project'
}
