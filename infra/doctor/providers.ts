import { configureProviders, type Provider } from '../../shared/drivers/providers.ts'
import type { Env } from '../env.ts'
import { type Finding, fault, ok, warning } from './finding.ts'

const TIMEOUT_MS = 5_000

/** Those that need no address. */
const HERE = ['local', 'model']

/** Variables that name a model or a provider, and those that the environment has a key for. */
export async function checkProviders(
  env: Env,
  variables: Record<string, string | undefined>,
): Promise<Finding[]> {
  let all: Provider[]
  try {
    all = configureProviders({ env: variables, providers: env.HUB_PROVIDERS })
  } catch (error) {
    return [fault('Providers', (error as Error).message, 'Correct that variable.')]
  }
  const callable = all.filter(({ missing }) => missing.length === 0)
  const findings = named(env, all, callable)
  if (callable.length === 0 && findings.length === 0)
    return [
      ok(
        'Providers',
        'None is set: local models answer. Set OPENAI_API_KEY or another one to ask better ones.',
      ),
    ]
  const reached = await Promise.all(callable.map(reach))
  return [...findings, ...reached]
}

function named(env: Env, all: readonly Provider[], callable: readonly Provider[]): Finding[] {
  const preset = env.HUB_DEFAULT_PROVIDER ?? callable.find(({ chat }) => chat)?.name ?? 'local'
  const wanted = (
    ['HUB_ASK_MODEL', 'HUB_AGENT_MODEL', 'HUB_SEMANTIC_JUDGE', 'HUB_EMBEDDING_MODEL'] as const
  ).flatMap((variable) => {
    const model = env[variable]
    // A bare name may be a route of some tenant.
    if (!model?.includes('/')) return []
    return [{ variable, value: model, provider: model.slice(0, model.indexOf('/')) }]
  })
  if (env.HUB_DEFAULT_PROVIDER)
    wanted.push({ variable: 'HUB_DEFAULT_PROVIDER' as never, value: preset, provider: preset })
  return wanted.flatMap(({ variable, value, provider: name }) => {
    if (HERE.includes(name)) return []
    const provider = all.find((one) => one.name === name)
    if (!provider)
      return [
        fault(
          'Providers',
          `${variable} is ${value}, and there is no provider ${name}.`,
          `Name one of ${all.map((one) => one.name).join(', ')}, or add it to HUB_PROVIDERS.`,
        ),
      ]
    if (provider.missing.length === 0) return []
    return [
      fault(
        'Providers',
        `${variable} is ${value}, and ${provider.missing.join(' and ')} is not set.`,
        `Set ${provider.missing.join(' and ')}, or name a model of another provider in ${variable}.`,
      ),
    ]
  })
}

/** Asks for its models: every provider lets its own callers see them, and it costs nothing. */
async function reach(provider: Provider): Promise<Finding> {
  const check = `Provider ${provider.name}`
  const { host } = new URL(provider.baseUrl)
  const key = provider.keyVariable ?? 'its key'
  try {
    const version = provider.dialect === 'azure' ? `?api-version=${provider.apiVersion}` : ''
    const reply = await fetch(`${provider.baseUrl}/models${version}`, {
      headers: { ...credentials(provider), ...provider.headers },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      redirect: 'manual',
    })
    await reply.body?.cancel()
    if (reply.status === 401 || reply.status === 403)
      return fault(
        check,
        `${host} refuses ${key} (${reply.status}).`,
        `Copy the key from the provider again into ${key}; see whether it has expired.`,
      )
    if (reply.status === 429)
      return warning(
        check,
        `${host} takes no more requests for now (429).`,
        'See the provider’s limits and your credit there.',
      )
    if (reply.status >= 500)
      return warning(
        check,
        `${host} answers ${reply.status}.`,
        'See the provider’s status page; a model route can name a second provider for such times.',
      )
    return ok(check, `${host} answers${provider.key ? `, and takes ${key}` : ''}.`)
  } catch (error) {
    return fault(check, `${host} cannot be reached: ${why(error)}`, cureOf(error, provider))
  }
}

/** Anthropic’s own list of models takes no `Authorization`. */
function credentials({ key, name, dialect }: Provider): Record<string, string> {
  if (!key) return {}
  if (dialect === 'azure') return { 'api-key': key }
  if (name === 'anthropic') return { 'x-api-key': key, 'anthropic-version': '2023-06-01' }
  return { authorization: `Bearer ${key}` }
}

function causeOf(error: unknown): NodeJS.ErrnoException {
  const { cause } = error as Error
  return (cause instanceof AggregateError ? cause.errors[0] : cause) ?? error
}

const why = (error: unknown) => {
  if ((error as Error).name === 'TimeoutError') return `no answer within ${TIMEOUT_MS / 1_000} s.`
  const cause = causeOf(error)
  return `${cause.message || cause.code}.`
}

function cureOf(error: unknown, { name, baseUrl }: Provider): string {
  const { code = '' } = causeOf(error)
  if (code === 'ECONNREFUSED')
    return `Start the server of ${name}, or correct its address (${new URL(baseUrl).origin}).`
  if (/ENOTFOUND|EAI_AGAIN/.test(code)) return 'Correct the host in its base URL, or this machine’s DNS.'
  if (/CERT|SELF_SIGNED|TLS/.test(code))
    return 'Name the file of its certificate’s authority in NODE_EXTRA_CA_CERTS.'
  return 'See whether a firewall or proxy lets this machine through to it.'
}
