import {
  type Command,
  type CommandCall,
  EXIT,
  hubOptions,
  listOption,
  requiredOption,
  textOption,
  UsageError,
} from './command.ts'
import { createHubClient, type HubClient } from './hub-client.ts'
import { oneLine, printJson, printTable, shown, styled } from './output.ts'

interface Key {
  id: string
  tenant: string
  name: string | null
  scopes: string[] | null
  created_at: string
  revoked_at: string | null
}

export const keys: Command = {
  usage: '[list [--tenant <name>] | create --tenant <name> [options] | revoke <id>]',
  about: 'lists, makes and revokes hub keys; asks for the admin key',
  options: {
    ...hubOptions,
    tenant: { type: 'string', value: 'name', about: 'whose keys' },
    name: { type: 'string', value: 'text', about: 'what people call the key' },
    scopes: { type: 'string', multiple: true, value: 'a,b', about: 'functions it may call; all by default' },
    models: { type: 'string', multiple: true, value: 'a,b', about: 'it may ask; all by default' },
    limit: {
      ...({ type: 'string', multiple: true, value: 'limit' } as const),
      about: 'requests=100/60 or tokens=200000/3600: so many in so many seconds; several times',
    },
    budget: { type: 'string', value: 'budget', about: '20/monthly: USD a day, a month or in total' },
  },
  examples: [
    'keys',
    'keys create --tenant acme --name web --scopes ask,search --limit requests=100/60 --budget 20/monthly',
    'keys revoke <id>',
  ],

  async run(call) {
    const [action = 'list', ...rest] = call.positionals
    const [id] = rest
    if (action === 'list' && rest.length === 0) return list(call)
    if (action === 'create' && rest.length === 0) return create(call)
    if (action === 'revoke' && id && rest.length === 1) return revoke(call, createHubClient(call), id)
    if (action === 'revoke') throw new UsageError('Name one key by its id: `keys` shows them.')
    throw new UsageError(`There is no \`keys ${call.positionals.join(' ')}\`, only list, create and revoke.`)
  },
}

async function list(call: CommandCall): Promise<number> {
  const tenant = textOption(call, 'tenant')
  const query = tenant === undefined ? '' : `?tenant=${encodeURIComponent(tenant)}`
  const reply = await createHubClient(call).json<{ data: Key[] }>(`/v1/keys${query}`)
  if (call.values.json) printJson(reply)
  else if (reply.data.length === 0) console.log('There are no keys. Make one: keys create --tenant <name>')
  else
    printTable([
      ['ID', 'TENANT', 'NAME', 'SCOPES', 'MADE', 'STATE'],
      ...reply.data.map(({ id, tenant, name, scopes, created_at, revoked_at }) => [
        ...[id, shown(tenant), oneLine(name ?? '-', 40), oneLine(scopes?.join(',') ?? 'all', 60)],
        ...[created_at.slice(0, 10), revoked_at ? 'revoked' : 'valid'],
      ]),
    ])
  return EXIT.ok
}

async function create(call: CommandCall): Promise<number> {
  const tenant = requiredOption(call, 'tenant', 'whose key it is')
  const name = textOption(call, 'name')
  const budget = textOption(call, 'budget')
  const scopes = listOption(call, 'scopes')
  const models = listOption(call, 'models')
  const limits = listOption(call, 'limit')?.map(toLimit)
  const made = await createHubClient(call).json<Key & { key: string }>('/v1/keys', {
    method: 'POST',
    body: { tenant, name, scopes, models, limits, budget: budget && toBudget(budget) },
    headers: { 'idempotency-key': crypto.randomUUID() },
  })
  if (call.values.json) {
    printJson(made)
    return EXIT.ok
  }
  console.log(made.key)
  const note = `${made.id}, of the tenant ${made.tenant}. The key is shown this once: keep it.`
  console.error(styled('yellow', note, process.stderr))
  return EXIT.ok
}

async function revoke(call: CommandCall, hub: HubClient, id: string): Promise<number> {
  await hub.send(`/v1/keys/${encodeURIComponent(id)}`, { method: 'DELETE' })
  if (call.values.json) printJson({ id, revoked: true })
  else console.log(`${oneLine(id)} is revoked: here at once, on other instances within 5 s.`)
  return EXIT.ok
}

function toLimit(text: string) {
  const [, on, limit, seconds] = /^(requests|tokens)=(\d+)\/(\d+)s?$/.exec(text) ?? []
  if (!on) throw new UsageError(`--limit: ${text} does not look like requests=100/60 or tokens=200000/3600.`)
  return { on, limit: Number(limit), window_seconds: Number(seconds) }
}

function toBudget(text: string) {
  const [, usd, period] = /^(\d+(?:\.\d+)?)\/(daily|monthly|total)$/.exec(text) ?? []
  if (!usd) throw new UsageError(`--budget: ${text} does not look like 5/daily, 20/monthly or 100/total.`)
  return { usd: Number(usd), period }
}
