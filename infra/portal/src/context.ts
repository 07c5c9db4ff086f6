// What every page may ask about: the session, and what it permits.
import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type { Session } from './api'

export const SessionContext = createContext<Session | undefined>(undefined)

export function useSession(): Session {
  const session = useContext(SessionContext)
  if (!session) throw new Error('there is no session')
  return session
}

/** Why the session may not change anything, or undefined if it may. */
export function useRefusal(): string | undefined {
  return useSession().read_only ? 'This link only lets you look. Ask for one that may change things.' : undefined
}
