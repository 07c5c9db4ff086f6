// Which page is shown. It stands in the fragment, which a browser sends to no server.
import { useEffect, useState } from 'preact/hooks'

export type Route = { path: string[]; parameters: URLSearchParams }

function current(): Route {
  const [path = '', parameters = ''] = location.hash.replace(/^#\/?/, '').split('?')
  return { path: path.split('/').filter(Boolean).map(decoded), parameters: new URLSearchParams(parameters) }
}

/** An address that somebody has broken is shown as it is, and leads to no page. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

export function useRoute(): Route {
  const [route, setRoute] = useState(current)
  useEffect(() => {
    const changed = () => setRoute(current())
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  return route
}

export const link = (...path: string[]): string => `#/${path.map(encodeURIComponent).join('/')}`

export function go(...path: string[]): void {
  location.hash = link(...path)
}

/** Sets parameters of the present page, without another entry in the history. */
export function setParameters(values: Record<string, string>): void {
  const [path = ''] = location.hash.split('?')
  const text = new URLSearchParams(Object.entries(values).filter(([, value]) => value)).toString()
  history.replaceState(null, '', text ? `${path}?${text}` : path)
  dispatchEvent(new HashChangeEvent('hashchange'))
}
