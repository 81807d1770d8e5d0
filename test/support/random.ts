export { seeded } from '../../infra/examples/random.ts'
