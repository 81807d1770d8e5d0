import type { LongMemory, NewMemory } from '../memory/memory.ts'
import { type BuiltIns, name, objectOf, text } from './built-in.ts'
import { ok } from './tool-action.ts'

/** What the tools need of shared knowledge: facts by field, each with its version and who wrote it. */
interface SharedFacts {
  get(
    tenant: string,
    topic: string,
  ): Promise<{ facts: Record<string, { value: unknown; version: number; by: string; at: string }> }>
  /** `once`: written again with it, it is one write. */
  put(
    tenant: string,
    topic: string,
    facts: Record<string, unknown>,
    write: {
      by: string
      once: string
      ifVersions?: Record<string, number>
      defer(work: Promise<unknown>): void
    },
  ): Promise<unknown>
}

export interface MemoryToolsOptions {
  memory: Pick<LongMemory, 'remember' | 'recall'>
  knowledge: SharedFacts
}

const TOP_K = 5

/** What an agent keeps for itself, and what all agents of a tenant share. */
export function memoryTools({ memory, knowledge }: MemoryToolsOptions) {
  return {
    remember: {
      description: 'Keep a fact for good. Say it so that it is understood without this conversation.',
      parameters: () =>
        objectOf(
          {
            text: text('One fact.', 4_000),
            valid_until: text('When it is no longer true, RFC 3339.', 64),
            metadata: { type: 'object', description: 'Fields to filter by.' },
          },
          ['text'],
        ),
      async invoke(args, _, { tenant, agent, caller, signal, defer, step, idempotencyKey }) {
        const { text, valid_until, metadata } = args
        const fact: NewMemory = {
          text,
          valid_until,
          metadata,
          origin: { kind: 'tool', step },
          once: idempotencyKey,
        }
        return ok(await memory.remember(tenant, agent, fact, { caller, signal, defer }))
      },
    },

    recall: {
      description: 'Find what you were told to keep, by its meaning.',
      parameters: () =>
        objectOf(
          {
            query: text('What it is about.'),
            top_k: { type: 'integer', minimum: 1, maximum: 50, description: 'How many memories.' },
          },
          ['query'],
        ),
      async invoke({ query, top_k }, setting, { tenant, agent, caller, signal, defer }) {
        const wanted = { query, top_k: top_k ?? setting.top_k ?? TOP_K, min_score: setting.min_score }
        const entries = await memory.recall(tenant, agent, wanted, { caller, signal, defer })
        return ok({
          memories: entries.map(({ id, text, score, valid_from, valid_until }) => ({
            ...{ id, text, score, valid_from, valid_until },
          })),
        })
      },
    },

    read_knowledge: {
      description:
        'Read what is known of a topic, shared by all agents: each field with its value, version and author.',
      parameters: ({ topics }) => objectOf({ topic: name('The topic.', topics) }, ['topic']),
      invoke: async ({ topic }, _, { tenant }) => ok((await knowledge.get(tenant, topic)).facts),
    },

    write_knowledge: {
      description:
        'Write down what is known of a topic, for all agents: fields and their values; null removes one.',
      parameters: ({ topics }) =>
        objectOf(
          {
            topic: name('The topic.', topics),
            facts: { type: 'object', minProperties: 1, maxProperties: 100 },
            if_versions: {
              type: 'object',
              additionalProperties: { type: 'integer', minimum: 0 },
              description:
                'Write only where these fields still have the versions that you read; 0: no such field.',
            },
          },
          ['topic', 'facts'],
        ),
      async invoke({ topic, facts, if_versions: ifVersions }, _, { tenant, agent, idempotencyKey, defer }) {
        const by = `agent:${agent}`
        await knowledge.put(tenant, topic, facts, { by, once: idempotencyKey, ifVersions, defer })
        return ok(`Written: ${Object.keys(facts).join(', ')}.`)
      },
    },
  } satisfies BuiltIns
}
