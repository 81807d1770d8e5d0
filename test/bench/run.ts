/** `npm run bench -- <name> [--seconds N] [--rows N]`: measurements as JSON lines on stdout, progress on stderr. */
import { parseArgs } from 'node:util'
import { agentStep } from './agent-step.ts'
import { startBench } from './bench.ts'
import { cacheHit } from './cache-hit.ts'
import { features } from './features.ts'
import { inference } from './inference.ts'
import { ingest } from './ingest.ts'
import { describeMachine } from './machine.ts'
import { overhead } from './overhead.ts'
import { realtime } from './realtime.ts'
import { retrieval } from './retrieval.ts'
import { semanticCache } from './semantic-cache.ts'
import { vectors } from './vectors.ts'

const benches = {
  'agent-step': {
    run: agentStep,
    about: 'a step of an agent, and the same step in LangGraph.js with its savers',
  },
  'cache-hit': { run: cacheHit, about: 'a stored answer through the hub, beside a bare Hono + Redis GET' },
  features: {
    run: features,
    about:
      'features of 1,000 entities, from the store and over HTTP, beside the same HMGETs of a bare client',
  },
  inference: {
    run: inference,
    about:
      'the sensor pipeline on a stream, at rising rates; 1 and 64 rows over HTTP, beside the bare runtime; 64 callers whose rows are joined or not',
  },
  ingest: { run: ingest, about: 'events in and worked on, beside raw XADD and BullMQ' },
  overhead: {
    run: overhead,
    about: 'a miss through the hub, beside a bare Hono forwarder and the provider alone',
  },
  realtime: {
    run: realtime,
    about:
      '2,000 readers of a channel on one instance: connections, memory, delivery to the median and the last one',
  },
  retrieval: { run: retrieval, about: 'known-item search over a real corpus: text, vector and hybrid' },
  'semantic-cache': {
    run: semanticCache,
    about: 'labelled pairs of questions: which get the answer of the other, rightly and wrongly',
  },
  vectors: { run: vectors, about: 'nearest vectors, filtered or not, and their recall, beside the raw VSIM' },
}

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '2' }, rows: { type: 'string', default: '100000' } },
  allowPositionals: true,
})
const name = positionals[0] as keyof typeof benches
const [seconds, rows] = [Number(values.seconds), Number(values.rows)]

if (!Object.hasOwn(benches, name ?? '') || !(seconds > 0) || !(rows > 0)) {
  console.error('npm run bench -- <name> [--seconds N] [--rows N]')
  console.error('  --seconds   length of each measurement, default 2')
  console.error('  --rows      of `vectors`, default 100000\n')
  for (const [name, { about }] of Object.entries(benches)) console.error(`  ${name.padEnd(16)}${about}`)
} else {
  await using bench = await startBench(seconds)
  console.log(JSON.stringify({ bench: name, machine: await describeMachine(bench.redis.url) }))
  await benches[name].run(bench, { rows })
}
