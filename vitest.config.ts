import { defineConfig } from 'vitest/config'

/** Run on every topology of Redis: whole requests, and what is decided by scripts. `TEST_TOPOLOGY=cluster npx vitest run test/functions test/shared` runs all of them there. */
const EVERYWHERE = [
  'test/functions/{audit,cache-complete,config,documents,features,infer,indexes,keys,knowledge,limits,locks}.test.ts',
  'test/functions/{agent-step,ingest-event,overview,preferences,prompts,realtime,requests,responses}.test.ts',
  'test/functions/{search,services,sessions}.test.ts',
  'test/shared/{agents,audit,completions,configuration}/{knowledge,audit,collapse,configuration}.test.ts',
  'test/shared/{datasets,events,features}/{datasets,intake,processor,features}.test.ts',
  'test/shared/{langgraph,inference}/{checkpoint-saver,model-store}.test.ts',
  'test/shared/{locks,metering,preferences,prompts,queues,services,sessions}/*.test.ts',
  'test/shared/{models,realtime,streams}/{breakers,readers,consumer-group}.test.ts',
]

const on = (topology: string) => ({
  extends: true as const,
  test: { name: topology, include: EVERYWHERE, globalSetup: 'test/support/topology-setup.ts' },
})

export default defineConfig({
  test: {
    reporters: ['default', './test/support/reporter.ts'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    // Named at the end of the run (test/support/reporter.ts): most wait for processes that share two cores.
    retry: process.env.CI ? 1 : 0,
    projects: [
      {
        extends: true,
        test: { name: 'single', include: ['test/**/*.test.ts'], globalSetup: 'test/support/global-setup.ts' },
      },
      on('sentinel'),
      on('cluster'),
    ],
  },
})
