import { cacheComplete } from './cache-complete.ts'
import { keys } from './keys.ts'

/** Every function that can be deployed, by the name that `FUNCTIONS` picks it with. */
export const table = {
  'cache-complete': cacheComplete,
  keys,
}
