import { createHubClient } from '/client.js'

const element = (id) => document.getElementById(id)

async function api(path, method = 'GET', body = undefined) {
  const headers = body && { 'content-type': 'application/json' }
  const reply = await fetch(path, { method, headers, body: body && JSON.stringify(body) })
  if (reply.status === 401) return undefined
  if (!reply.ok) throw new Error((await reply.json()).error)
  return reply.status === 204 ? undefined : reply.json()
}

async function start() {
  const me = await api('/api/me')
  element('login').hidden = me !== undefined
  element('preferences').hidden = me === undefined
  if (!me) return
  element('user').textContent = me.user
  show(me.preferences)
  const hub = createHubClient({ baseUrl: me.hub })
  // The tab may sleep, the network may go: it goes on where it was.
  for await (const { type } of hub.follow('GET /v1/realtime/{channel}', {
    path: { channel: me.channel },
    token: async () => (await api('/api/token', 'POST'))?.token,
    onError: (error) => show(undefined, error.message),
  })) {
    if (type === 'preferences' || type === 'gap') show((await api('/api/me')).preferences)
  }
}

function show(preferences, status = '') {
  if (preferences) element('preferences').theme.value = preferences.theme ?? 'light'
  if (preferences) document.documentElement.style.colorScheme = preferences.theme ?? 'light'
  element('status').textContent = status
}

element('login').addEventListener('submit', async (event) => {
  event.preventDefault()
  await api('/login', 'POST', { user: event.target.user.value })
  await start()
})
element('preferences').addEventListener('change', (event) =>
  api('/api/preferences', 'PATCH', { [event.target.name]: event.target.value }),
)
element('logout').addEventListener('click', async () => {
  await api('/api/logout', 'POST')
  location.reload()
})
start().catch((error) => show(undefined, error.message))
