// Begins: exchanges the code of the link for a session, and shows the pages.
import { render } from 'preact'
import { useLayoutEffect, useState } from 'preact/hooks'
import { App } from './app'
import { type Brand, Problem, type Session, authenticate } from './api'
import { begin, end, forget, kept, takeCode } from './session'
import { applyTheme, presentAs } from './brand'
import { Skeleton } from './ui'

type State = { at: 'beginning' } | { at: 'open'; session: Session } | { at: 'closed'; title: string; detail: string }

const NO_LINK = {
  title: 'Open this page with a link',
  detail: 'A link to the portal signs you in. Get one where you manage your account, or with “hookline portal” if you run Hookline yourself.',
}
const OVER = { title: 'Your session is over', detail: 'Get a new link where you got the last one, and go on where you were.' }

function Root({ beginning, brand }: { beginning: Promise<Session> | undefined; brand: Promise<Brand> }) {
  const [state, setState] = useState<State>({ at: 'beginning' })
  const [name, setName] = useState('')
  useLayoutEffect(() => void brand.then((brand) => setName(brand.name)), [])
  useLayoutEffect(() => {
    const close = (title: string, detail: string) => {
      forget()
      setState({ at: 'closed', title, detail })
    }
    const open = (session: Session) => {
      authenticate(session.token, () => close(OVER.title, OVER.detail))
      setState({ at: 'open', session })
    }
    const present = beginning ? undefined : kept()
    if (present) return open(present)
    if (!beginning) return close(NO_LINK.title, NO_LINK.detail)
    beginning.then(open, (error: unknown) => {
      const problem = error instanceof Problem ? error : new Problem(0, String(error))
      const isRefused = problem.status === 401
      const title = isRefused ? 'This link no longer works' : 'The link could not be used'
      const detail = isRefused ? 'A link works once, for five minutes. Get a new one where you got this one.' : problem.message
      setState({ at: 'closed', title, detail: kept() ? `${detail} Reload the page to go on with the session that you had.` : detail })
    })
  }, [])
  if (state.at === 'open') {
    const signOut = () => setState({ at: 'closed', title: 'You are signed out', detail: 'Get a new link to come back.' })
    return <App session={state.session} name={name} onSignOut={signOut} onOver={() => { setState({ at: 'closed', ...OVER }); void end().catch(forget) }} />
  }
  return (
    <main class="notice">
      {state.at === 'beginning' ? <Skeleton /> : <><h1>{state.title}</h1><p>{state.detail}</p></>}
    </main>
  )
}

// Another link that is opened in this tab changes only the fragment.
addEventListener('hashchange', () => { if (new URLSearchParams(location.hash.slice(1)).has('code')) location.reload() })
applyTheme()
const place = document.getElementById('app')
const code = takeCode()
// Both are asked for before anything is drawn.
const beginning = code ? begin(code) : undefined
if (place) render(<Root beginning={beginning} brand={presentAs()} />, place)
