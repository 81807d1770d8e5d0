import { readFile } from 'node:fs/promises'
import { type Command, hubOptions, requiredOption, textOption, UsageError } from './command.ts'
import { type FoundFile, findFiles } from './find-files.ts'
import { createHubClient, ensureIndex } from './hub-client.ts'
import { runUploads } from './uploads.ts'

/** Files that are sent at the same time. */
const AT_ONCE = 4

export const ingest: Command = {
  usage: '<files or folders…> --index <name> [--embedding-model <provider/model>]',
  about: 'puts documents into an index, which is made where it is missing; unchanged ones are skipped',
  options: {
    ...hubOptions,
    index: { type: 'string', value: 'name', about: 'letters, digits and _ . -' },
    'embedding-model': { type: 'string', value: 'provider/model', about: 'of an index that is made' },
  },
  examples: ['ingest docs README.md --index docs'],

  async run(call) {
    if (call.positionals.length === 0) throw new UsageError('Name the files or folders to ingest.')
    const index = requiredOption(call, 'index', 'which index they go into')
    const { files, skipped } = await findFiles(call.positionals)
    if (files.length === 0) throw new UsageError('There are no documents there (md, txt, html, pdf, …).')
    const hub = createHubClient(call)
    const embeddingModel = textOption(call, 'embedding-model')
    await ensureIndex(hub, index, () => ({
      fields: {},
      ...(embeddingModel && { embedding_model: embeddingModel }),
    }))
    return runUploads({
      ...{ call, items: files, total: files.length, concurrency: AT_ONCE },
      about: { index, skipped },
      async upload({ path, id, contentType }: FoundFile, uploads) {
        try {
          const reply = await hub.json<{ unchanged?: boolean }>(
            `/v1/indexes/${encodeURIComponent(index)}/documents/${encodeURIComponent(id)}`,
            { method: 'PUT', body: await readFile(path), headers: { 'content-type': contentType } },
          )
          uploads.done(reply.unchanged ? 'unchanged' : 'written')
        } catch (error) {
          uploads.failed(id, error)
        }
      },
    })
  },
}
