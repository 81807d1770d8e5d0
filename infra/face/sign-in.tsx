import { useState } from 'preact/hooks'
import { read } from './hub.ts'
import { Problem } from './parts.tsx'

/** Asks for the admin key, which the hub answers with a cookie that no script can read. */
export function SignIn({ onDone }: { onDone(): void }) {
  const [problem, setProblem] = useState('')
  async function send(event: Event) {
    event.preventDefault()
    setProblem('')
    const key = String(new FormData(event.target as HTMLFormElement).get('key'))
    try {
      await read('v1/dashboard-session', { body: { key } })
      onDone()
    } catch (error) {
      setProblem((error as Error).message)
    }
  }
  return (
    <main class="sign-in">
      <form class="panel" onSubmit={send}>
        <h2>Sign in</h2>
        <p class="quiet">This hub has an admin key: HUB_ADMIN_KEY, where it runs.</p>
        <label class="wide">
          Admin key
          <input name="key" type="password" required autocomplete="current-password" />
        </label>
        {problem && <Problem>{problem}</Problem>}
        <button type="submit">Sign in</button>
      </form>
    </main>
  )
}
