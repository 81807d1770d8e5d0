import type { TestProject } from 'vitest/node'
import { provideRedis, toTopology } from './provide-redis.ts'

/** For projects that are named after a topology. */
export default (project: TestProject) => provideRedis(project, toTopology(project.name))
