/** What a tenant's erasure has come to: how often, not what. */
export interface Erasure {
  tenant: string
  status: 'erasing' | 'erased'
  /** RFC 3339 */
  requested_at: string
  erased_at: string | null
  /** Removed so far; what a crash kept from being counted is missing. */
  keys: number
  /** Of keys of the whole hub. */
  members: number
  /** Of the vector store. */
  indexes: number
  /** Complete looks at everything. */
  passes: number
  /** Why the last attempt broke off; it is made again. */
  problem: string | null
  /** Of the same name, the latest last. */
  earlier: { requested_at: string; erased_at: string }[]
}

/** As Redis holds it. */
export interface StoredErasure extends Erasure {
  /** Where the running pass goes on. */
  place: string
  cursor: string
  /** Removed by the running pass. */
  found: number
  /** Since when nothing was found: Unix ms by Redis's clock. */
  quiet_since: number | null
}

const MOST_EARLIER = 20

/** Not begun yet. */
export function newErasure(tenant: string, now: number, before?: StoredErasure): StoredErasure {
  const { earlier = [], requested_at, erased_at } = before ?? {}
  return {
    ...{ tenant, status: 'erasing', requested_at: new Date(now).toISOString(), erased_at: null },
    ...{ keys: 0, members: 0, indexes: 0, passes: 0, problem: null },
    earlier: (requested_at && erased_at ? [...earlier, { requested_at, erased_at }] : earlier).slice(
      -MOST_EARLIER,
    ),
    ...{ place: '', cursor: '0', found: 0, quiet_since: null },
  }
}

export const shown = ({
  place: _,
  cursor: __,
  found: ___,
  quiet_since: ____,
  ...erasure
}: StoredErasure): Erasure => erasure
