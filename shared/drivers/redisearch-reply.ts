import { HubError } from '../errors.ts'
import type { ErrorReply, Reply } from '../ports/redis.ts'
import type { ChunkRef, Hit, Metric } from '../ports/vectors.ts'
import { toCosine } from './vectorset-similarities.ts'

type ReadChunk = (key: string) => ChunkRef | undefined

/**
 * Reads `[total, key, [name, distance, …], …]` of a KNN query that returns its distance as `name`. A distance that is no
 * number (`-nan`: one vector is zero, or both are too long for a float) says nothing, and such a hit is left out.
 */
export function readNearest(reply: Reply, name: string, metric: Metric, readChunk: ReadChunk): Hit[] {
  return readHits(reply, readChunk, (fields) => {
    const at = Array.isArray(fields) ? fields.indexOf(name) : -1
    return at < 0 ? Number.NaN : SIMILARITY[metric](toNumber((fields as Reply[])[at + 1]))
  })
}

/** Reads `[total, key, score, …]` of a query with NOCONTENT and WITHSCORES. */
export const readScored = (reply: Reply, readChunk: ReadChunk): Hit[] => readHits(reply, readChunk, toNumber)

/** Of the distances that RediSearch gives: 1 - cosine, the squared euclidean distance, 1 - product. */
const SIMILARITY: Record<Metric, (distance: number) => number> = {
  cosine: (distance) => toCosine(1 - distance),
  euclidean: (squared) => 1 / (1 + squared),
  dot_product: (distance) => 1 - distance,
}

/** What an index's FT.INFO tells: of its vectors and of what it filters by. */
export function readInfo(reply: Reply) {
  const info = toRecord(reply)
  const attributes = (Array.isArray(info.attributes) ? info.attributes : []).map(toRecord)
  const vector = attributes.find(({ type }) => type === 'VECTOR')
  const typeOf = (name: string) => attributes.find(({ identifier }) => identifier === name)?.type
  return {
    dimensions: Number(vector?.dim),
    metric: String(vector?.distance_metric),
    typeOf,
  }
}

/** `No such index x`, `x: no such index`; `Unknown index name` before 8.0; newer servers begin with a code. */
export const isNoSuchIndex = (reply: unknown) =>
  reply instanceof Error && /no such index|unknown index name|SEARCH_INDEX_NOT_FOUND/i.test(reply.message)

/** Whether the server, or what this user may run on it, lacks the command. */
export const isMissingCommand = (reply: unknown) =>
  reply instanceof Error && /^(ERR )?unknown command|^NOPERM/i.test(reply.message)

/** An error reply of a server with RediSearch, with a public face. Most of them have no code, only words. */
export function toStoreError(reply: ErrorReply, index: string): HubError {
  const error = (status: number, code: string, message: string, more = {}) =>
    new HubError({ status, code, message, cause: reply, ...more })
  const { message } = reply
  const away = { retryAfterSeconds: 1 }
  if (isNoSuchIndex(reply)) {
    return error(
      404,
      'index_not_found',
      `RediSearch has no index for \`${index}\`: it was dropped, or Redis was emptied. Put it again with the same settings, and its chunks are indexed anew; where they are gone, or were written for another vector store, delete it and write its documents again.`,
    )
  }
  if (/^(ERR )?unknown command/i.test(message)) {
    return error(501, 'not_supported', 'This Redis has no RediSearch: it knows no FT.* commands.')
  }
  if (message.startsWith('NOPERM')) {
    return error(
      501,
      'not_supported',
      'The Redis user of the hub may not run RediSearch: grant it +@search and the keys.',
    )
  }
  if (/db != 0|db 0/i.test(message)) {
    return error(
      501,
      'not_supported',
      'RediSearch indexes database 0 only: name no other one in the URL of Redis.',
    )
  }
  if (/parser stack overflow/i.test(message)) {
    return error(400, 'invalid_filter', 'The filter is nested too deeply for RediSearch.', {
      param: 'filter',
    })
  }
  if (CANNOT_MAKE.test(message)) {
    return error(400, 'invalid_index', `RediSearch cannot make such an index: ${message}`)
  }
  if (OTHER_SCHEMA.test(message)) return otherSettings(index, reply)
  if (/no such scorer|invalid option|unknown argument/i.test(message)) {
    return error(
      501,
      'not_supported',
      `This RediSearch is too old: Redis 8 or RediSearch 2.10 is needed. (${message})`,
    )
  }
  if (/timeout limit was reached|timed out/i.test(message)) {
    return error(
      503,
      'vectors_unavailable',
      'RediSearch did not finish in time. Try again, or ask for less.',
      away,
    )
  }
  if (message.startsWith('OOM') || /out of memory|insufficient memory|due to OOM/i.test(message)) {
    return error(503, 'vectors_unavailable', 'Redis is full: raise its maxmemory, or delete documents.', away)
  }
  if (/^(LOADING|BUSY|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|NOREPLICAS|UNBLOCKED)/.test(message)) {
    return error(503, 'vectors_unavailable', `Redis cannot do this now: ${message}`, away)
  }
  if (message.startsWith('WRONGTYPE')) {
    return error(
      409,
      'key_conflict',
      `A key that is no hash stands where a chunk of \`${index}\` belongs: delete it.`,
    )
  }
  return error(500, 'vectors_failed', `RediSearch refused a command of the hub: ${message}`)
}

/** RediSearch has an index of this name that was made by other settings. */
export const otherSettings = (index: string, cause?: unknown) =>
  new HubError({
    code: 'index_exists',
    status: 409,
    message: `RediSearch has an index for \`${index}\` with other dimensions, metric or fields: delete it, and make it again.`,
    cause,
  })

/** What a query meets that was made for other fields or dimensions. */
const OTHER_SCHEMA = /query vector blob size|^Unknown field|^Expected a \w+ field/

/** What the words of FT.CREATE's errors begin with, as far as a caller's settings can lead there. */
const CANNOT_MAKE =
  /^(ERR )?(Bad arguments for vector similarity|Duplicate field in schema|Schema is limited|Too many|Invalid field type|Missing mandatory parameter|Vector index)/i

function readHits(reply: Reply, readChunk: ReadChunk, toScore: (value: Reply | undefined) => number): Hit[] {
  const hits: Hit[] = []
  if (!Array.isArray(reply)) return hits
  for (let at = 1; at + 1 < reply.length; at += 2) {
    const chunk = readChunk(String(reply[at]))
    const score = toScore(reply[at + 1])
    if (chunk && !Number.isNaN(score)) hits.push({ ...chunk, score })
  }
  return hits
}

/** `inf`, `-inf`, `nan` and `-nan` as C prints them. */
function toNumber(value: Reply | undefined): number {
  const text = String(value)
  return /^-?inf/.test(text) ? Number(text.replace(/inf.*/, 'Infinity')) : Number(text)
}

/** A flat list of names and values. Names that come twice, or stand alone, are flags that nobody here reads. */
function toRecord(reply: Reply): Record<string, Reply | undefined> {
  const list = Array.isArray(reply) ? reply : []
  const entries: [string, Reply | undefined][] = []
  for (let at = 0; at < list.length; at += 2) entries.push([String(list[at]), list[at + 1]])
  return Object.fromEntries(entries)
}
