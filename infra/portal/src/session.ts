// The session: begun by the code of a link, kept for this tab alone, and over at its end or when the user signs out.
import { type Session, authenticate, call, post } from './api'

const KEY = 'hookline-session'

/** Takes the code out of the address, so that it stays neither there nor in the history. */
export function takeCode(): string | undefined {
  const code = new URLSearchParams(location.hash.slice(1)).get('code')
  if (!code) return undefined
  history.replaceState(null, '', location.pathname)
  return code
}

export async function begin(code: string): Promise<Session> {
  sessionStorage.removeItem(KEY)
  authenticate(undefined, () => {})
  const session = await post<Session>('/v1/portal-sessions', { code })
  sessionStorage.setItem(KEY, JSON.stringify(session))
  return session
}

/** Returns the session that this tab has, if its time is not over. */
export function kept(): Session | undefined {
  try {
    const session = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Session | null
    return session && Date.parse(session.expires_at) > Date.now() ? session : undefined
  } catch {
    return undefined
  }
}

export function forget(): void {
  sessionStorage.removeItem(KEY)
  authenticate(undefined, () => {})
}

/** Ends the session on the server too. */
export async function end(): Promise<void> {
  await call('DELETE', '/v1/portal-sessions').catch(() => {})
  forget()
}
