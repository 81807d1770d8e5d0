import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Env } from '../env.ts'
import { type Finding, fault, ok, warning } from './finding.ts'

const TIMEOUT_MS = 3_000

/** Whether a hub can listen where the environment says. */
export async function checkPort({ PORT, HOST }: Env): Promise<Finding[]> {
  const check = 'Port'
  if (PORT === 0) return [ok(check, 'Any free one.')]
  const code = await tryListening(PORT, HOST)
  if (code === undefined) return [ok(check, `${PORT} is free.`)]
  if (code === 'EADDRINUSE') {
    if (await isHub(PORT, HOST))
      return [
        warning(
          check,
          `${PORT} is taken by a hub that runs already.`,
          'Nothing, if that is this one; else set PORT to another one for a second hub.',
        ),
      ]
    const cure = `Set PORT to another one, or stop what listens there: \`ss -ltnp 'sport = :${PORT}'\` names it.`
    return [fault(check, `${PORT} is taken by something that is no hub.`, cure)]
  }
  if (code === 'EACCES')
    return [
      fault(
        check,
        `${PORT} needs rights that this user has not.`,
        'Set PORT to 1024 or more, and let a proxy listen on the low one.',
      ),
    ]
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return [
      fault(
        check,
        `HOST is ${HOST}, which is no address of this machine.`,
        'Set HOST to 127.0.0.1, or to 0.0.0.0 for all addresses.',
      ),
    ]
  return [fault(check, `It cannot listen on ${HOST}:${PORT}: ${code}.`, 'Set HOST and PORT to others.')]
}

async function tryListening(port: number, host: string): Promise<string | undefined> {
  const server = createServer()
  try {
    server.listen({ port, host, exclusive: true })
    await once(server, 'listening')
    server.close()
    await once(server, 'close')
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message
  }
}

async function isHub(port: number, host: string): Promise<boolean> {
  const at = /^(0\.0\.0\.0|::)$/.test(host) ? '127.0.0.1' : host
  return 'body' in (await ask(`http://${at.includes(':') ? `[${at}]` : at}:${port}`))
}

/** The hub of HUB_URL, where there is one to ask. */
export async function checkRunningHub({ HUB_URL }: Record<string, string | undefined>): Promise<Finding[]> {
  if (!HUB_URL) return []
  const check = 'Running hub'
  if (!URL.canParse(HUB_URL))
    return [fault(check, 'HUB_URL is no URL.', 'Set it as in http://127.0.0.1:8787.')]
  const { host } = new URL(HUB_URL)
  const ready = await ask(HUB_URL)
  if ('error' in ready)
    return [
      fault(
        check,
        `No hub answers at ${host}: ${ready.error}`,
        'Start it by `npm start`, or correct HUB_URL.',
      ),
    ]
  const { status, redis } = ready.body
  if (status === 'ok') return [ok(check, `It serves at ${host}.`)]
  if (status === 'draining')
    return [warning(check, `The hub at ${host} is about to end.`, 'Ask the one that takes over.')]
  return [
    fault(
      check,
      `The hub at ${host} is ${status}: its Redis is ${redis}.`,
      'Mend its Redis: the checks above say how.',
    ),
  ]
}

async function ask(base: string): Promise<{ body: { status: string; redis?: string } } | { error: string }> {
  try {
    const reply = await fetch(`${base.replace(/\/+$/, '')}/readyz`, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    const body = (await reply.json()) as { status?: unknown }
    if (typeof body?.status === 'string') return { body: body as { status: string } }
    return { error: 'something else listens there.' }
  } catch (error) {
    const cause = (error as Error).cause as NodeJS.ErrnoException | undefined
    if (error instanceof SyntaxError) return { error: 'something else listens there.' }
    return { error: `${cause?.code ?? (error as Error).message}.` }
  }
}
