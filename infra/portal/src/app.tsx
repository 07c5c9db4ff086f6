// The frame of every page: the name, the navigation, and the page that the address names.
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Session } from './api'
import { type Theme, applyTheme, theme } from './brand'
import { SessionContext } from './context'
import { useAction } from './data'
import { DeliveryPage } from './pages/delivery'
import { EventPage } from './pages/event'
import { EventsPage } from './pages/events'
import { NewWebhookPage } from './pages/new_webhook'
import { PublishPage } from './pages/publish'
import { WebhookPage } from './pages/webhook'
import { WebhooksPage } from './pages/webhooks'
import { WhyPage } from './pages/why'
import { type Route, link, useRoute } from './route'
import { end } from './session'
import { Icon } from './icon'
import { Button, Failed, Note, useNow } from './ui'

type Properties = { session: Session; name: string; onSignOut: () => void; onOver: () => void }

/** How long before its end a session warns. */
const WARNING_MINUTES = 5

export function App({ session, name, onSignOut, onOver }: Properties) {
  const route = useRoute()
  const main = useRef<HTMLElement>(null)
  const minutes = useNow((now) => Math.max(0, Math.ceil((Date.parse(session.expires_at) - now) / 60_000)))
  const leaving = useAction()
  const where = route.path.join('/')
  useEffect(() => {
    if (minutes === 0) onOver()
  }, [minutes === 0])
  useEffect(() => {
    // A screen reader goes on at the new page, as it would after a click on a link to another document.
    main.current?.focus({ preventScroll: true })
    scrollTo(0, 0)
  }, [where])
  useEffect(() => {
    document.title = name ? `Webhooks · ${name}` : 'Webhooks'
  }, [name])
  const home = session.webhook_id ? link('webhooks', session.webhook_id) : link('webhooks')
  const present = route.path[0] === 'deliveries' ? 'webhooks' : route.path[0] ?? 'webhooks'
  const is = (section: string) => (present === section ? ('page' as const) : undefined)
  return (
    <SessionContext.Provider value={session}>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus() }}>Skip to the page</a>
      <header>
        <div class="bar">
          <a class="name" href={home}>{name || '\u00a0'}</a>
          <nav aria-label="Pages">
            <a href={home} aria-current={is('webhooks')}>{session.webhook_id ? 'Webhook' : 'Webhooks'}</a>
            <a href={link('events')} aria-current={is('events')}>Events</a>
            <a href={link('why')} aria-current={is('why')}>Signatures</a>
          </nav>
          <div class="account">
            <span class="account-name" title="The account that this session is for">{session.account}</span>
            <ThemeSwitch />
            <Button kind="quiet" busy={leaving.busy} onClick={() => void leaving.run(() => end().then(onSignOut))}>Sign out</Button>
          </div>
        </div>
      </header>
      <div class="banners" role="status">
        {leaving.problem ? <Failed problem={leaving.problem} /> : null}
        {session.read_only ? <Note tone="plain">This link only lets you look. Buttons that change something are off.</Note> : null}
        {minutes > 0 && minutes <= WARNING_MINUTES ? <Note tone="wait">Your session ends in {minutes} min. Get a new link to go on.</Note> : null}
      </div>
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
  if (section === 'events' && id === 'new') return <PublishPage />
  if (section === 'events' && id) return <EventPage key={id} id={id} />
  if (section === 'events') return <EventsPage parameters={parameters} />
  if (section === 'why') return <WhyPage />
  return <div class="empty"><h1>There is no such page</h1><p><a href={link('webhooks')}>Go to the webhooks</a></p></div>
}

const THEMES: Theme[] = ['system', 'light', 'dark']

function ThemeSwitch() {
  const [chosen, setChosen] = useState(theme)
  const choose = () => {
    const next = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length] ?? 'system'
    applyTheme(next)
    setChosen(next)
  }
  return <button type="button" class="quiet icon-only" aria-label={`Theme: ${chosen}`} title={`Theme: ${chosen}`} onClick={choose}><Icon name={chosen} /></button>
}
