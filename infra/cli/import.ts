import { HubRequestError } from '../client/hub-request-error.ts'
import {
  type Command,
  type CommandCall,
  hubOptions,
  requiredOption,
  textOption,
  UsageError,
} from './command.ts'
import { createHubClient, ensureIndex } from './hub-client.ts'
import { pinecone } from './import-pinecone.ts'
import { type ImportedRecord, type ImportSource, readExport } from './import-records.ts'
import { weaviate } from './import-weaviate.ts'
import { runUploads, type Uploads } from './uploads.ts'

const SOURCES: Record<string, { source: ImportSource; keyVariable: string }> = {
  pinecone: { source: pinecone, keyVariable: 'PINECONE_API_KEY' },
  weaviate: { source: weaviate, keyVariable: 'WEAVIATE_API_KEY' },
}

/** Where text usually lies, in the order in which it is looked for. */
const TEXT_FIELDS = ['text', 'chunk_text', 'content', 'page_content', 'body', 'document']

export const importCommand: Command = {
  usage: '--from pinecone|weaviate <file or URL> --index <name> [options]',
  about: 'copies vectors, text and metadata from another database, or from its export',
  examples: [
    'import --from pinecone https://my-index.svc.pinecone.io --index docs',
    'import --from weaviate export.ndjson --index docs --text-field body',
  ],
  options: {
    ...hubOptions,
    from: { type: 'string', value: 'database', about: 'pinecone or weaviate' },
    index: { type: 'string', value: 'name', about: 'where it goes; made where it is missing' },
    namespace: { type: 'string', value: 'name', about: 'of Pinecone' },
    class: { type: 'string', value: 'name', about: 'of Weaviate' },
    'text-field': { type: 'string', value: 'name', about: 'which field holds the text' },
    'vector-name': { type: 'string', value: 'name', about: 'where objects have several' },
    'embedding-model': { type: 'string', value: 'provider/model', about: 'makes the vectors anew' },
    'source-key': { type: 'string', value: 'key', about: 'better in PINECONE_API_KEY or WEAVIATE_API_KEY' },
  },

  async run(call) {
    const from = requiredOption(call, 'from', `one of ${Object.keys(SOURCES).join(', ')}`)
    const known = Object.hasOwn(SOURCES, from) ? SOURCES[from] : undefined
    if (!known)
      throw new UsageError(`--from: there is no \`${from}\`, only ${Object.keys(SOURCES).join(', ')}.`)
    const [place, ...more] = call.positionals
    if (!place || more.length > 0) throw new UsageError('Name one file, or one URL of the database.')
    const index = requiredOption(call, 'index', 'which index it goes into')
    const hub = createHubClient(call)
    const pages = readPages(call, known, place)
    const first = await pages.next()
    if (first.done) throw new UsageError(`There is nothing in ${place}.`)

    const textField = chooseTextField(first.value, textOption(call, 'text-field'))
    const dimensions = first.value.find(({ vector }) => vector)?.vector?.length
    const embeddingModel = textOption(call, 'embedding-model')
    const target = await ensureIndex(hub, index, () => ({
      fields: inferFields(first.value, textField),
      // Without a model named, the vectors are kept as they are, and searched with vectors of the same model.
      ...(embeddingModel
        ? { embedding_model: embeddingModel }
        : dimensions && { embedding_model: null, dimensions }),
    }))

    const toDocument = ({ id, vector, metadata }: ImportedRecord) => {
      const { [textField]: text, ...rest } = metadata
      const fits = vector?.length === target.dimensions
      return { id, text: typeof text === 'string' ? text : '', metadata: rest, ...(fits && { vector }) }
    }
    async function put(documents: ReturnType<typeof toDocument>[], uploads: Uploads): Promise<void> {
      try {
        const reply = await hub.json<{ documents: { unchanged?: boolean }[] }>(
          `/v1/indexes/${encodeURIComponent(index)}/documents`,
          { method: 'POST', body: documents },
        )
        const unchanged = reply.documents.filter((one) => one.unchanged).length
        uploads.done('unchanged', unchanged)
        uploads.done('written', documents.length - unchanged)
      } catch (error) {
        const isTheirs = error instanceof HubRequestError && [400, 409, 413, 415, 422].includes(error.status)
        if (documents.length === 1 || !isTheirs) {
          for (const { id } of documents) uploads.failed(id, error)
          return
        }
        // One of them is bad, and must not fail the others.
        for (const document of documents) await put([document], uploads)
      }
    }
    return runUploads({
      ...{
        call,
        items: resumed(first.value, pages),
        concurrency: 2,
        about: { from, index, text_field: textField },
      },
      upload: (page, uploads) => put(page.map(toDocument), uploads),
    })
  },
}

function readPages(
  call: CommandCall,
  { source, keyVariable }: (typeof SOURCES)[string],
  place: string,
): AsyncGenerator<ImportedRecord[]> {
  const vectorName = textOption(call, 'vector-name')
  if (!/^https?:\/\//.test(place)) return readExport(place, (value) => source.read(value, { vectorName }))
  return source.fetch({
    url: new URL(place),
    key: textOption(call, 'source-key') ?? call.env[keyVariable],
    namespace: textOption(call, 'namespace') ?? textOption(call, 'class'),
    ...{ vectorName, signal: call.signal },
  })
}

function chooseTextField(records: readonly ImportedRecord[], wanted: string | undefined): string {
  const isText = (name: string) =>
    records.some(({ metadata }) => typeof metadata[name] === 'string' && metadata[name] !== '')
  const found = wanted ?? TEXT_FIELDS.find(isText)
  if (found !== undefined && isText(found)) return found
  const names = [...new Set(records.flatMap(({ metadata }) => Object.keys(metadata)))]
  const have = names.length ? `The records have: ${names.join(', ')}.` : 'The records have no metadata.'
  throw new UsageError(
    wanted === undefined
      ? `Which field holds the text? Name it with --text-field. ${have}`
      : `--text-field: no record has a text \`${wanted}\`. ${have}`,
  )
}

/** What the first records can be filtered by: fields of one type, of which short strings are tags. */
function inferFields(
  records: readonly ImportedRecord[],
  textField: string,
): Record<string, 'tag' | 'number'> {
  const types = new Map<string, string>()
  for (const { metadata } of records) {
    for (const [name, value] of Object.entries(metadata)) {
      if (value === null || name === textField || !/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name)) continue
      const type = typeOf(value)
      types.set(name, types.has(name) && types.get(name) !== type ? 'none' : type)
    }
  }
  return Object.fromEntries([...types].filter(([, type]) => type !== 'none')) as Record<
    string,
    'tag' | 'number'
  >
}

const MOST_TAG_CHARACTERS = 100

function typeOf(value: unknown): string {
  if (typeof value === 'number') return 'number'
  const isTag = (one: unknown) => typeof one === 'string' && one.length <= MOST_TAG_CHARACTERS
  if (typeof value === 'boolean' || isTag(value)) return 'tag'
  return Array.isArray(value) && value.every(isTag) ? 'tag' : 'none'
}

async function* resumed<T>(first: T, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  yield first
  yield* rest
}
