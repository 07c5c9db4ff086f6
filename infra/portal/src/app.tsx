// The frame of every page: the name, the navigation, and the page that the address names.
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Session } from './api'
import { type Theme, applyTheme, theme } from './brand'
import { SessionContext } from './context'
import { DeliveryPage } from './pages/delivery'
import { EventPage, EventsPage } from './pages/events'
import { NewWebhookPage } from './pages/new_webhook'
import { WebhookPage } from './pages/webhook'
import { WebhooksPage } from './pages/webhooks'
import { WhyPage } from './pages/why'
import { type Route, link, useRoute } from './route'
import { end } from './session'
import { useNow } from './ui'

type Properties = { session: Session; name: string; onSignOut: () => void; onOver: () => void }

/** How long before its end a session warns. */
const WARNING_MS = 5 * 60 * 1000

export function App({ session, name, onSignOut, onOver }: Properties) {
  const route = useRoute()
  const now = useNow()
  const main = useRef<HTMLElement>(null)
  const left = Date.parse(session.expires_at) - now
  const where = route.path.join('/')
  useEffect(() => {
    if (left <= 0) onOver()
  }, [left <= 0])
  useEffect(() => {
    // A screen reader goes on at the new page, as it would after a click on a link to another document.
    main.current?.focus({ preventScroll: true })
    scrollTo(0, 0)
  }, [where])
  useEffect(() => {
    document.title = name ? `Webhooks · ${name}` : 'Webhooks'
  }, [name])
  const home = session.webhook_id ? link('webhooks', session.webhook_id) : link('webhooks')
  const is = (section: string) => (route.path[0] ?? 'webhooks') === section ? 'page' as const : undefined
  return (
    <SessionContext.Provider value={session}>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus() }}>Skip to the page</a>
      <header>
        <a class="name" href={home}>{name || ' '}</a>
        <nav aria-label="Pages">
          <a href={home} aria-current={is('webhooks')}>{session.webhook_id ? 'Webhook' : 'Webhooks'}</a>
          <a href={link('events')} aria-current={is('events')}>Events</a>
          <a href={link('why')} aria-current={is('why')}>Why</a>
        </nav>
        <div class="account">
          <span class="muted account-name" title="The account">{session.account}</span>
          {session.read_only ? <span class="status plain">read only</span> : null}
          <ThemeSwitch />
          <button type="button" class="quiet" onClick={() => void end().then(onSignOut)}>Sign out</button>
        </div>
      </header>
      {left < WARNING_MS && left > 0 ? (
        <p class="note wait banner" role="status">Your session ends in {Math.ceil(left / 60_000)} min. Get a new link to go on.</p>
      ) : null}
      <main ref={main} id="main" tabIndex={-1}>
        <PageOf route={route} session={session} />
      </main>
    </SessionContext.Provider>
  )
}

function PageOf({ route: { path, parameters }, session }: { route: Route; session: Session }) {
  const [section = 'webhooks', id, tab] = path
  if (section === 'webhooks' && id === 'new') return <NewWebhookPage />
  if (section === 'webhooks' && id) return <WebhookPage key={id} id={id} tab={tab ?? ''} parameters={parameters} />
  if (section === 'webhooks' && session.webhook_id) return <WebhookPage key={session.webhook_id} id={session.webhook_id} tab="" parameters={parameters} />
  if (section === 'webhooks') return <WebhooksPage />
  if (section === 'deliveries' && id) return <DeliveryPage key={id} id={id} />
  if (section === 'events' && id) return <EventPage key={id} id={id} />
  if (section === 'events') return <EventsPage parameters={parameters} />
  if (section === 'why') return <WhyPage />
  return <div class="empty"><h1>There is no such page</h1><p><a href={link('webhooks')}>Go to the webhooks</a></p></div>
}

const THEMES: Theme[] = ['system', 'light', 'dark']

function ThemeSwitch() {
  const [chosen, setChosen] = useState(theme)
  const choose = (value: string) => {
    const next = THEMES.find((theme) => theme === value) ?? 'system'
    applyTheme(next)
    setChosen(next)
  }
  return (
    <select class="quiet" aria-label="Theme" value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
      <option value="system">System</option>
      <option value="light">Light</option>
      <option value="dark">Dark</option>
    </select>
  )
}
