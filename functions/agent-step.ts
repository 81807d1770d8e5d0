import { hash } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { describeRoute } from 'hono-openapi'
import { z } from 'zod'
import type { InboxMessage, StepRecord } from '../shared/agents/agent.ts'
import { privateTool, ToolSettings } from '../shared/agents/tools/tool-settings.ts'
import { HubError, toHubError } from '../shared/errors.ts'
import { newId } from '../shared/ids.ts'
import { agentChannel, NAME } from '../shared/keys.ts'
import { admitAdmin } from './acts.ts'
import { agentMemory } from './agent-memory.ts'
import { agentTasks } from './agent-tasks.ts'
import type { App, Deps } from './deps.ts'
import { admitted, IDEMPOTENCY_KEY, json, query, replies } from './http.ts'
import { knowledge } from './knowledge.ts'
import { startOf, toEventStream } from './realtime-events.ts'

const Name = z.string().regex(NAME, 'must be 1 to 64 of A-Z a-z 0-9 _ . -')
const Text = z.string().max(100_000)

const Settings = z.strictObject({
  role: z.enum(['planner', 'executor', 'custom']).describe('executors take tasks that planners give away'),
  model: z.string().min(1).max(300).optional().describe('HUB_AGENT_MODEL by default'),
  instructions: Text.optional().describe('its system message'),
  tools: ToolSettings.optional(),
  limits: z
    .strictObject({
      steps: z.int().min(1).max(10_000).optional().describe('50 by default'),
      tokens: z.int().min(1).optional().describe('read and written by models'),
      cost: z.number().positive().optional().describe('USD'),
      seconds: z.number().positive().max(31_536_000).optional().describe('wall time'),
    })
    .optional()
    .describe('of a run: from an input to its end'),
  topics: z.array(Name).max(100).optional().describe('kinds of tasks that an executor takes; any by default'),
  memory: z
    .strictObject({
      max_tokens: z
        .int()
        .min(200)
        .max(1_000_000)
        .optional()
        .describe('8,000 by default; what is older is summed up'),
      extract: z.boolean().optional().describe('keep lasting facts of what users say'),
    })
    .optional(),
})

const Decision = z.strictObject({
  call_id: z.string().min(1).max(300),
  action: z
    .enum(['approve', 'reject', 'retry', 'result'])
    .describe('run it; refuse it; run again what may have run; take `output` for its result'),
  output: Text.optional(),
  reason: z.string().max(2_000).optional(),
})

const NewStep = z.strictObject({
  input: z
    .union([Text, z.record(z.string(), z.unknown())])
    .optional()
    .describe('what the agent is told'),
  until: z.literal('done').optional().describe('go on until the run is over or waits, and stream the steps'),
  stream: z.boolean().optional().describe('false: only the last step, as JSON'),
  decisions: z.array(Decision).min(1).max(100).optional().describe('on calls that wait for a person'),
})

const NewMessage = z.strictObject({
  content: z.union([Text.min(1), z.record(z.string(), z.unknown())]),
  event_type: z.string().min(1).max(200).optional().describe('what `wait` may name'),
})

const Page = z.object({
  after: z.string().max(64).optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
})
const StepsPage = Page.extend({
  after: z.coerce.number().int().min(0).optional().describe('a step’s number'),
})

const Agent = z.looseObject({ id: z.string(), status: z.string(), version: z.int() })
const Step = z.looseObject({
  step: z.int(),
  status: z.enum(['running', 'waiting', 'done', 'failed', 'needs_attention']),
  output: z.string().nullable(),
  tool_calls: z.array(z.looseObject({ id: z.string(), name: z.string(), arguments: z.string() })),
  version: z.int(),
})

/** No step begins later; whoever is free goes on. */
const LONGEST_RUN_MS = 30 * 60_000

type Used = Pick<
  Deps,
  | 'admission'
  | 'agents'
  | 'agentDrive'
  | 'agentMail'
  | 'longMemory'
  | 'tasks'
  | 'knowledge'
  | 'readers'
  | 'clock'
  | 'log'
>

/** Agents: durable steps, memory, tasks and shared knowledge. */
export function agentStep(deps: Used) {
  const { admission, agents, agentDrive, agentMail, readers, clock, log } = deps
  const admit = admitted(admission, 'agent-step')

  function idOf(c: Context<App>): string {
    const id = c.req.param('id')!
    if (!NAME.test(id)) throw badName()
    return id
  }

  return new Hono<App>()
    .get(
      '/v1/agents',
      describeRoute({
        summary: 'List agents by name',
        responses: replies(200, 'Agents', z.object({ data: z.array(Agent), next: z.string().nullable() })),
      }),
      admit,
      query(Page),
      async (c) => c.json(await agents.page(c.var.caller.tenant, c.req.valid('query'))),
    )
    .put(
      '/v1/agents/:id',
      describeRoute({ summary: 'Make an agent, or change it', responses: replies(200, 'The agent', Agent) }),
      admit,
      json(Settings),
      async (c) => {
        const { tenant, keyId } = c.var.caller
        const settings = c.req.valid('json')
        // Addresses that are not public are an admin's to open.
        if (privateTool(settings.tools ?? [])) await admitAdmin(c, admission)
        return c.json(await agents.put(tenant, idOf(c), settings, keyId))
      },
    )
    .get(
      '/v1/agents/:id',
      describeRoute({ summary: 'Read an agent and its state', responses: replies(200, 'The agent', Agent) }),
      admit,
      async (c) => c.json(await agents.get(c.var.caller.tenant, idOf(c))),
    )
    .delete(
      '/v1/agents/:id',
      describeRoute({ summary: 'Delete an agent', responses: { 204: { description: 'Deleted' } } }),
      admit,
      async (c) => {
        await agents.delete(c.var.caller.tenant, idOf(c))
        return c.body(null, 204)
      },
    )
    .post(
      '/v1/agents/:id/steps',
      describeRoute({
        summary: 'Run one step, or all until the run is over',
        parameters: [IDEMPOTENCY_KEY],
        description:
          'With `Idempotency-Key` a step happens once, however often it is asked for. With `until: "done"`: server-sent events `step`, or with `stream: false` or `Accept: application/json` the last step.',
        responses: {
          ...replies(200, 'The step', Step),
          409: { description: 'Another step won, or a person must decide' },
        },
      }),
      admit,
      json(NewStep),
      async (c) => {
        const body = c.req.valid('json')
        const { input, until, decisions } = body
        const { caller } = c.var
        const agent = idOf(c)
        const key = c.req.header('idempotency-key')
        const id = key === undefined ? newId() : `${caller.keyId ?? ''}/${key}`
        const message: InboxMessage | undefined =
          input === undefined && !decisions
            ? undefined
            : {
                id,
                type: 'input',
                from: by(caller.keyId),
                data: input ?? null,
                ...(decisions && { decisions }),
              }
        const call = {
          ...{ tenant: caller.tenant, agent, caller, message, untilDone: until === 'done' },
          operation: { id, print: hash('sha256', JSON.stringify([input, until, decisions])) },
          signal: AbortSignal.timeout(2 * LONGEST_RUN_MS), // the drive bounds each step
          left: c.req.raw.signal,
          untilMs: clock.now() + LONGEST_RUN_MS,
          defer: c.env.defer,
        }
        const streams =
          until === 'done' &&
          body.stream !== false &&
          !/^application\/json\b/.test(c.req.header('accept') ?? '')
        if (!streams) return c.json(await agentDrive.step(call))
        return stream(c, (onStep) => agentDrive.step({ ...call, onStep }))
      },
    )
    .get(
      '/v1/agents/:id/steps',
      describeRoute({
        summary: 'The journal, the oldest step first',
        responses: replies(200, 'Steps', z.object({ data: z.array(Step) })),
      }),
      admit,
      query(StepsPage),
      async (c) => c.json({ data: await agents.steps(c.var.caller.tenant, idOf(c), c.req.valid('query')) }),
    )
    .post(
      '/v1/agents/:id/messages',
      describeRoute({
        summary: 'Send a message: the agent takes it up by itself',
        parameters: [IDEMPOTENCY_KEY],
        responses: { 202: replies(200, 'Redis has it', z.object({ id: z.string() }))[200]! },
      }),
      admit,
      json(NewMessage),
      async (c) => {
        const { tenant, keyId } = c.var.caller
        const { content, event_type } = c.req.valid('json')
        const key = c.req.header('idempotency-key')
        const id = key === undefined ? newId() : `${keyId ?? ''}/${key}`
        const type = event_type === undefined ? 'message' : 'event'
        const message = {
          id,
          type,
          from: by(keyId),
          data: content,
          ...(event_type !== undefined && { event_type }),
        } as const
        await agentMail.send(tenant, idOf(c), message, c.env.defer)
        return c.json({ id }, 202)
      },
    )
    .get(
      '/v1/agents/:id/events',
      describeRoute({
        summary: 'Listen to an agent’s steps',
        description: 'Server-sent events. With `Last-Event-ID` nothing is missed.',
        responses: { 200: { description: 'Events', content: { 'text/event-stream': {} } } },
      }),
      admit,
      async (c) => {
        const agent = idOf(c)
        const { tenant, keyId } = c.var.caller
        await agents.get(tenant, agent) // 404 where there is none
        const reader = await readers.open(tenant, agentChannel(agent), {
          after: startOf(c.req.header('last-event-id')),
        })
        const over = Promise.withResolvers<void>()
        c.env.defer(over.promise)
        const events = toEventStream({
          ...{ reader, signal: c.req.raw.signal, checkAfterMs: CHECK_MS },
          check: async () => {
            await admission.recall(tenant, keyId, 'agent-step')
            return CHECK_MS
          },
          onEnd: () => reader.leave().then(over.resolve, () => over.resolve()),
        })
        return c.body(events, 200, SSE)
      },
    )
    .route('/', agentMemory({ ...deps, agentExists: agents.exists }))
    .route('/', agentTasks(deps))
    .route('/', knowledge(deps))

  /** Steps as they are made. The caller may leave: what runs is finished, the rest is done by whoever is free. */
  async function stream(c: Context<App>, drive: (onStep: (step: StepRecord) => void) => Promise<StepRecord>) {
    const steps = new TransformStream<Uint8Array, Uint8Array>()
    const writer = steps.writable.getWriter()
    const encoder = new TextEncoder()
    const write = (event: string, data: unknown) =>
      void writer.write(encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)).catch(() => {})
    const begun = Promise.withResolvers<void>()
    const run = drive((step) => {
      begun.resolve()
      write('step', step)
    })
    const all = run
      .then(
        () => begun.resolve(),
        (error) => {
          begun.reject(error)
          const shown = toHubError(error)
          if (shown.status >= 500) log.error({ msg: shown.message, code: shown.code, cause: shown.cause })
          write('error', shown)
        },
      )
      .then(() => writer.close().catch(() => {}))
    c.env.defer(all)
    await begun.promise // an error before the first step has a status of its own
    return c.body(steps.readable, 200, SSE)
  }
}

/** Until a listener's key is looked at again. */
const CHECK_MS = 30_000

const SSE = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}

const by = (keyId: string | null) => (keyId === null ? undefined : `key:${keyId}`)

const badName = () =>
  new HubError({
    code: 'invalid_value',
    status: 400,
    message: 'id must be 1 to 64 of A-Z a-z 0-9 _ . -',
    param: 'id',
  })
