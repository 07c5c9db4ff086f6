// The session: begun by the code of a link, kept for this tab alone, and over at its end or when the user signs out.
import { Problem, type Session, authenticate, call, post } from './api'

const KEY = 'hookline-session'

/** Takes the code out of the address, so that it stays neither there nor in the history. */
export function takeCode(): string | undefined {
  const code = new URLSearchParams(location.hash.slice(1)).get('code')
  if (!code) return undefined
  history.replaceState(null, '', location.pathname)
  return code
}

/** Begins a session. That which this tab has had goes on if the code is refused, and is ended otherwise. */
export async function begin(code: string): Promise<Session> {
  const before = kept()
  const session = await post<Session>('/v1/portal-sessions', { code })
  // The code is used up: nothing may come between it and the session that it has begun.
  sessionStorage.setItem(KEY, JSON.stringify(session))
  if (before) void fetch('/v1/portal-sessions', { method: 'DELETE', headers: { authorization: `Bearer ${before.token}` } }).catch(() => {})
  return session
}

/** Returns the session that this tab has, if its time is not over. */
export function kept(): Session | undefined {
  try {
    const session = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Session | null
    if (session && Date.parse(session.expires_at) > Date.now()) return session
    sessionStorage.removeItem(KEY)
    return undefined
  } catch {
    return undefined
  }
}

export function forget(): void {
  sessionStorage.removeItem(KEY)
  authenticate(undefined, () => {})
}

/** Ends the session on the server too. If that fails, it goes on here as well, so that it can be ended by another try. */
export async function end(): Promise<void> {
  await call('DELETE', '/v1/portal-sessions').catch((error: unknown) => {
    const isOver = error instanceof Problem && error.status === 401
    if (!isOver) throw error
  })
  forget()
}
