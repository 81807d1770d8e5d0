import type { Caller } from '../shared/admission.ts'
import { HubError } from '../shared/errors.ts'

/** Where there is no key, everybody is. */
export const isAdmin = ({ scopes, keyId }: Caller) => (scopes ? scopes.has('admin') : keyId === null)

/** The tenant that a caller asks about: its own, or as an admin any. Throws 403. */
export function tenantFor(caller: Caller, wanted: string | undefined): string {
  if (wanted === undefined || wanted === caller.tenant) return caller.tenant
  if (isAdmin(caller)) return wanted
  throw new HubError({
    code: 'scope_missing',
    status: 403,
    message: 'Only an admin can see another tenant. Leave `tenant` out to see your own.',
    param: 'tenant',
  })
}
