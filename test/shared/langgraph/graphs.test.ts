import { Annotation, Command, END, interrupt, MemorySaver, START, StateGraph } from '@langchain/langgraph'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createCheckpointSaver } from '../../../infra/langgraph.ts'
import { unique } from '../../support/app.ts'
import { startTestBridge } from '../../support/bridge.ts'
import { testRedisUrl } from '../../support/redis.ts'

const State = Annotation.Root({
  messages: Annotation<string[]>({ reducer: (all, more) => all.concat(more), default: () => [] }),
  topic: Annotation<string>,
})

type Update = Partial<typeof State.State>

/** Asks a person in between. */
const asking = (checkpointer: MemorySaver | ReturnType<typeof createCheckpointSaver>, ran: string[] = []) =>
  new StateGraph(State)
    .addNode('draft', ({ topic }): Update => {
      ran.push('draft')
      return { messages: [`a draft on ${topic}`] }
    })
    .addNode('review', (): Update => {
      ran.push('review')
      return { messages: [`reviewed: ${interrupt('Is it good?')}`] }
    })
    .addEdge(START, 'draft')
    .addEdge('draft', 'review')
    .addEdge('review', END)
    .compile({ checkpointer })

const thread = (thread_id = unique('thread')) => ({ configurable: { thread_id } })

let bridge: Awaited<ReturnType<typeof startTestBridge>>

beforeAll(async () => {
  bridge = await startTestBridge({ redisUrl: testRedisUrl() })
  await bridge.ready()
  return bridge.close
})

describe.each(['RESP', 'HTTP'])('graphs over %s', (driver) => {
  function startSaver(tenant = unique('tenant')) {
    const connection = driver === 'HTTP' ? bridge : { url: testRedisUrl() }
    const saver = createCheckpointSaver({ url: connection.url, token: bridge.token, tenant })
    onTestFinished(saver.close)
    return saver
  }

  it('a run that waits for a person goes on in another process', async () => {
    const [tenant, config, ran] = [unique('tenant'), thread(), [] as string[]]
    await asking(startSaver(tenant), ran).invoke({ topic: 'Redis' }, config)
    const later = asking(startSaver(tenant), ran)
    const state = await later.getState(config)
    expect(state.next).toEqual(['review'])
    expect(state.tasks[0]!.interrupts[0]!.value).toBe('Is it good?')
    const end = await later.invoke(new Command({ resume: 'yes' }), config)
    expect(end).toEqual({ topic: 'Redis', messages: ['a draft on Redis', 'reviewed: yes'] })
    expect(ran).toEqual(['draft', 'review', 'review'])
  })

  it('a task that failed runs again, and the one beside it that had ended does not', async () => {
    const [tenant, config, ran] = [unique('tenant'), thread(), [] as string[]]
    const start = () =>
      new StateGraph(State)
        .addNode('good', (): Update => {
          ran.push('good')
          return { messages: ['good'] }
        })
        .addNode('bad', (): Update => {
          ran.push('bad')
          if (ran.filter((name) => name === 'bad').length === 1) throw new Error('the first time')
          return { messages: ['bad'] }
        })
        .addEdge(START, 'good')
        .addEdge(START, 'bad')
        .compile({ checkpointer: startSaver(tenant) })
    await expect(start().invoke({ topic: 't' }, config)).rejects.toThrow('the first time')
    const end = await start().invoke(null, config)
    expect(end.messages.toSorted()).toEqual(['bad', 'good'])
    expect(ran.toSorted()).toEqual(['bad', 'bad', 'good'])
  })

  it('its history is that of MemorySaver', async () => {
    const config = thread()
    const shown = async (checkpointer: Parameters<typeof asking>[0]) => {
      const graph = asking(checkpointer)
      await graph.invoke({ topic: 'Redis' }, config)
      await graph.invoke(new Command({ resume: 'yes' }), config)
      const states = await Array.fromAsync(graph.getStateHistory(config))
      return states.map(({ values, next, metadata, tasks, parentConfig }) => ({
        ...{ values, next, metadata, parent: parentConfig !== undefined },
        tasks: tasks.map(({ name, interrupts, result }) => ({
          name,
          result,
          asked: interrupts.map(({ value }) => value),
        })),
      }))
    }
    const history = await shown(startSaver())
    expect(history).toEqual(await shown(new MemorySaver()))
    expect(history).toHaveLength(4)
  })

  it('two branches of a thread keep their own values', async () => {
    const graph = asking(startSaver())
    const config = thread()
    await graph.invoke({ topic: 'Redis' }, config)
    const fork = (await graph.getState(config)).config
    const left = await graph.updateState(fork, { messages: ['left'] }, 'review')
    const right = await graph.updateState(fork, { messages: ['right'] }, 'review')
    const messagesOf = async (config: typeof left) => (await graph.getState(config)).values.messages
    expect(await messagesOf(left)).toEqual(['a draft on Redis', 'left'])
    expect(await messagesOf(right)).toEqual(['a draft on Redis', 'right'])
    expect(await messagesOf(config)).toEqual(['a draft on Redis', 'right'])
  })

  it('two processes that run one thread at the same time both leave a whole history', async () => {
    const [tenant, config] = [unique('tenant'), thread()]
    const counting = (checkpointer: ReturnType<typeof startSaver>) =>
      new StateGraph(State)
        .addNode('count', ({ messages }): Update => ({ messages: [`${messages[0]}${messages.length}`] }))
        .addEdge(START, 'count')
        .addConditionalEdges('count', ({ messages }) => (messages.length < 20 ? 'count' : END))
        .compile({ checkpointer })
    const { promise: bothStarted, resolve } = Promise.withResolvers<void>()
    let started = 0
    const ends = await Promise.all(
      ['a', 'b'].map((name) => {
        const saver = startSaver(tenant)
        const getTuple = saver.getTuple.bind(saver)
        saver.getTuple = async (config) => {
          const tuple = await getTuple(config)
          if (++started === 2) resolve()
          await bothStarted
          return tuple
        }
        return counting(saver).invoke({ messages: [name] }, { ...config, recursionLimit: 50 })
      }),
    )
    const states = await Array.fromAsync(counting(startSaver(tenant)).getStateHistory(config))
    const byId = new Map(states.map((state) => [state.config.configurable!.checkpoint_id, state]))
    const whole = (name: string) => [name, ...Array.from({ length: 19 }, (_, n) => `${name}${n + 1}`)]
    expect(ends.map(({ messages }) => messages)).toEqual([whole('a'), whole('b')])
    for (const name of ['a', 'b']) {
      let state = states.find(({ values }) => values.messages?.length === 20 && values.messages[0] === name)
      for (let length = 20; length > 0; length--) {
        expect(state!.values.messages).toEqual(whole(name).slice(0, length))
        state = byId.get(state!.parentConfig!.configurable!.checkpoint_id)
      }
    }
  })

  it('a subgraph has its own checkpoints, and they go with the thread', async () => {
    const checkpointer = startSaver()
    const config = thread()
    const graph = new StateGraph(State)
      .addNode('inner', asking(true as never))
      .addEdge(START, 'inner')
      .addEdge('inner', END)
      .compile({ checkpointer })
    await graph.invoke({ topic: 'Redis' }, config)
    const namespaces = async () => {
      const tuples = await Array.fromAsync(checkpointer.list(config))
      return new Set(tuples.map((tuple) => tuple.config.configurable!.checkpoint_ns))
    }
    expect(await namespaces()).toEqual(new Set(['', 'inner']))
    const end = await graph.invoke(new Command({ resume: 'yes' }), config)
    expect(end.messages).toEqual(['a draft on Redis', 'reviewed: yes'])
    await checkpointer.deleteThread(config.configurable.thread_id)
    expect(await namespaces()).toEqual(new Set())
  })
})
