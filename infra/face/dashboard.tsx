/** The dashboard: one page that follows `/v1/overview/events`. */
import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { seconds } from './format.ts'
import { call, read } from './hub.ts'
import { type Connection, useLive } from './live.ts'
import { Problem } from './parts.tsx'
import { SignIn } from './sign-in.tsx'
import { Tabs } from './tabs.tsx'
import { AgentsView } from './view-agents.tsx'
import { CostView } from './view-cost.tsx'
import { HealthView } from './view-health.tsx'
import { ModelsView } from './view-models.tsx'
import { OverviewView } from './view-overview.tsx'
import { RequestsView } from './view-requests.tsx'
import { TryView } from './view-try.tsx'
import { WorkView } from './view-work.tsx'

const TABS = ['Overview', 'Requests', 'Cost', 'Health', 'Work', 'Agents', 'Models', 'Try it'] as const
const WINDOWS = { 15: '15 minutes', 60: '1 hour', 360: '6 hours', 1440: '24 hours' }

function Dashboard() {
  const [tab, setTab] = useTab()
  const [tenant, setTenant] = useState<string>()
  const [minutes, setMinutes] = useState(60)
  const [session, setSession] = useState(0)
  const [signedIn, setSignedIn] = useState(false)
  const [theme, nextTheme] = useTheme()
  const { snapshot, connection, retry } = useLive(tenant, minutes, session)
  useEffect(() => {
    void read<{ expires_at: string | null }>('v1/dashboard-session').then(
      ({ expires_at }) => setSignedIn(session >= 0 && expires_at !== null),
      () => {},
    )
  }, [session])

  async function signOut() {
    await call('v1/dashboard-session', { method: 'DELETE' }).catch(() => {})
    location.reload()
  }

  const signIn = connection.state === 'signed-out'
  const tenants = snapshot?.tenants ?? []
  return (
    <>
      {/* Not by a fragment, which chooses the tab. */}
      <button
        type="button"
        class="skip"
        onClick={() =>
          document
            .querySelector<HTMLElement>('main')
            ?.querySelector<HTMLElement>('a, button, input, select, textarea, summary, [tabindex]')
            ?.focus()
        }
      >
        Skip to the content
      </button>
      <header class="top">
        <h1>
          <img
            src={document.querySelector<HTMLLinkElement>('link[rel=icon]')!.href}
            alt=""
            width={24}
            height={24}
          />
          redis-ai-hub
        </h1>
        <Status connection={connection} retry={retry} />
        {!signIn && (
          <div class="settings">
            {tenants.length > 1 && (
              <label>
                <span class="hidden">Tenant</span>
                <select
                  value={tenant ?? snapshot?.tenant}
                  onChange={({ currentTarget }) => setTenant(currentTarget.value)}
                >
                  {tenants.map((name) => (
                    <option key={name}>{name}</option>
                  ))}
                </select>
              </label>
            )}
            <label>
              <span class="hidden">Window</span>
              <select
                value={minutes}
                onChange={({ currentTarget }) => setMinutes(Number(currentTarget.value))}
              >
                {Object.entries(WINDOWS).map(([value, label]) => (
                  <option key={value} value={value}>
                    {label}
                  </option>
                ))}
              </select>
            </label>
            <button type="button" class="plain" onClick={nextTheme}>
              Theme: {theme}
            </button>
            {signedIn && (
              <button type="button" class="plain" onClick={signOut}>
                Sign out
              </button>
            )}
          </div>
        )}
      </header>
      {signIn ? (
        <SignIn onDone={() => setSession((n) => n + 1)} />
      ) : (
        <Tabs label="Parts of the dashboard" names={TABS} chosen={tab} choose={setTab}>
          <h2 class="hidden">{tab}</h2>
          {connection.state === 'refused' && <Problem>{connection.why}</Problem>}
          {snapshot ? (
            <View {...{ tab, setTab, snapshot, theme, tenant }} />
          ) : (
            <p class="quiet">Waiting for the first figures…</p>
          )}
        </Tabs>
      )}
    </>
  )
}

interface ViewProps {
  tab: string
  setTab(tab: string): void
  snapshot: NonNullable<ReturnType<typeof useLive>['snapshot']>
  theme: string
  tenant: string | undefined
}

function View({ tab, setTab, snapshot, theme, tenant }: ViewProps) {
  switch (tab) {
    case 'Requests':
      return <RequestsView tenant={tenant} seen={snapshot.traffic?.total.requests ?? 0} />
    case 'Cost':
      return <CostView snapshot={snapshot} />
    case 'Health':
      return <HealthView snapshot={snapshot} />
    case 'Work':
      return <WorkView key={tenant} snapshot={snapshot} tenant={tenant} />
    case 'Agents':
      return <AgentsView key={tenant} snapshot={snapshot} tenant={tenant} />
    case 'Models':
      return <ModelsView snapshot={snapshot} />
    case 'Try it':
      return <TryView key={tenant} tenant={tenant} />
    default:
      return <OverviewView snapshot={snapshot} theme={theme} go={setTab} />
  }
}

/** Whether what is shown is live, and if not when that is tried again. */
function Status({ connection, retry }: { connection: Connection; retry(): void }) {
  const [now, setNow] = useState(Date.now())
  const waits = connection.state === 'waiting'
  useEffect(() => {
    if (!waits) return
    const timer = setInterval(() => setNow(Date.now()), 500)
    return () => clearInterval(timer)
  }, [waits])
  const text = {
    live: () => 'Live',
    connecting: () => 'Connecting…',
    'signed-out': () => 'Signed out',
    refused: () => 'Refused',
    waiting: () => '',
  }[connection.state]()
  return (
    <div class={`status ${connection.state}`}>
      <span role="status">
        <i class="dot" />
        {connection.state === 'waiting' ? connection.why : text}
      </span>
      {connection.state === 'waiting' && (
        <>
          <span class="note">again in {seconds(Math.max(0, (connection.retryAt - now) / 1_000))}</span>
          <button type="button" class="small" onClick={retry}>
            Now
          </button>
        </>
      )}
    </div>
  )
}

/** The tab is in the address, so that it can be kept and shared. */
function useTab(): [string, (tab: string) => void] {
  const current = () => TABS.find((name) => name.toLowerCase().replace(' ', '-') === location.hash.slice(1))
  const [tab, setTab] = useState<string>(current() ?? TABS[0])
  useEffect(() => {
    const moved = () => setTab((before) => current() ?? before)
    addEventListener('hashchange', moved)
    return () => removeEventListener('hashchange', moved)
  }, [])
  const go = (name: string) => {
    history.replaceState(null, '', `#${name.toLowerCase().replace(' ', '-')}`)
    setTab(name)
  }
  return [tab, go]
}

const THEMES = ['system', 'light', 'dark']

function useTheme(): [string, () => void] {
  const [theme, setTheme] = useState(() => {
    const kept = localStorage.getItem('theme')
    return kept && THEMES.includes(kept) ? kept : 'system'
  })
  const [, setDark] = useState(false)
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
  const dark = matchMedia('(prefers-color-scheme: dark)')
  useEffect(() => {
    const changed = () => setDark(dark.matches)
    dark.addEventListener('change', changed)
    return () => dark.removeEventListener('change', changed)
  }, [dark])
  const next = () => {
    const name = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!
    localStorage.setItem('theme', name)
    setTheme(name)
  }
  return [theme, next]
}

render(<Dashboard />, document.getElementById('app')!)
