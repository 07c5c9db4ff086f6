// The log of events, one event with its deliveries, and publishing one.
import { useEffect, useState } from 'preact/hooks'
import { type Event, type EventType, type EventWithDeliveries, type Page, Problem, post, query } from '../api'
import { useSession } from '../context'
import { useAction, useApi, useList } from '../data'
import { go, link, setParameters } from '../route'
import { pretty } from '../text'
import { Button, Empty, Failed, Field, Raw, Skeleton, Time } from '../ui'
import { Windowed } from '../windowed'
import { DeliveryRow } from './deliveries'

const ROW_PX = 44
const LIVE_MS = 3_000

export function EventsPage({ parameters }: { parameters: URLSearchParams }) {
  const type = parameters.get('type') ?? ''
  const list = useList<Event>(query('/v1/events', { limit: 50, type }), true)
  const catalogue = useApi<Page<EventType>>('/v1/event-types')
  const { publish } = useSession()
  const [publishing, setPublishing] = useState(false)
  return (
    <>
      <div class="title">
        <h1>Events</h1>
        {publish ? <Button kind="primary" onClick={() => setPublishing(!publishing)}>{publishing ? 'Close' : 'Publish an event'}</Button> : null}
      </div>
      {publishing ? <Publish types={catalogue.value?.data ?? []} /> : null}
      <div class="row filters">
        <label>Type <select value={type} onChange={(event) => setParameters({ type: event.currentTarget.value })}><option value="">any</option>{(catalogue.value?.data ?? []).map((entry) => <option key={entry.name}>{entry.name}</option>)}</select></label>
        <span class="muted live">● live</span>
      </div>
      {list.problem ? <Failed problem={list.problem} retry={list.reload} /> : null}
      {list.items === undefined ? (list.problem ? null : <Skeleton lines={6} />) : list.items.length === 0 ? (
        <Empty title="No events"><p>{type ? 'No event of this type is kept.' : 'Whatever is published appears here.'}</p></Empty>
      ) : (
        <Windowed items={list.items} height={ROW_PX} label="Events" onEnd={list.more} row={(event) => (
          <a class="delivery event" href={link('events', event.id)}>
            <code class="clip">{event.type}</code>
            <code class="muted clip">{event.id}</code>
            <span class="muted when"><Time at={event.created_at} /></span>
          </a>
        )} />
      )}
    </>
  )
}

type DryRun = { webhooks: { webhook_id: string; delivers: boolean; reason?: string | null }[]; next_cursor?: string | null }

function Publish({ types }: { types: EventType[] }) {
  const [type, setType] = useState('')
  const [data, setData] = useState('')
  const [run, setRun] = useState<DryRun>()
  const action = useAction()
  const chosen = type || types[0]?.name || ''
  const sample = types.find((entry) => entry.name === chosen)?.sample
  useEffect(() => {
    if (sample) setData(JSON.stringify({ data: sample.data, ...(sample.previous_data ? { previous_data: sample.previous_data } : {}) }, null, 2))
  }, [chosen, types.length])
  const body = () => {
    try {
      return { type: chosen, ...(JSON.parse(data) as object) }
    } catch (error) {
      throw new Problem(422, `The event is not JSON: ${(error as Error).message}`)
    }
  }
  const reached = run?.webhooks.filter((webhook) => webhook.delivers).length ?? 0
  return (
    <section class="card">
      <Field label="Type of the event" fault={action.problem?.at('/type')}>
        {(attributes) => <select {...attributes} value={chosen} onChange={(event) => setType(event.currentTarget.value)}>{types.map((entry) => <option key={entry.name}>{entry.name}</option>)}</select>}
      </Field>
      <Field label="Its data" fault={action.problem?.at('/data')}>
        {(attributes) => <textarea {...attributes} class="code" rows={10} spellcheck={false} value={data} onInput={(event) => { setData(event.currentTarget.value); setRun(undefined) }} />}
      </Field>
      {action.problem ? <Failed problem={action.problem} /> : null}
      <div class="row">
        <Button busy={action.busy} onClick={() => void action.run(async () => setRun(await post<DryRun>('/v1/events/dry-run?limit=100', body())))}>Who would get it?</Button>
        <Button kind="primary" busy={action.busy} onClick={() => void action.run(async () => go('events', (await post<Event>('/v1/events', body())).id))}>Publish</Button>
      </div>
      {run ? (
        <div aria-live="polite">
          <p>{reached} of {run.webhooks.length}{run.next_cursor ? ' or more' : ''} webhooks would get it.</p>
          <ul class="plain">{run.webhooks.map((webhook) => <li key={webhook.webhook_id}><a href={link('webhooks', webhook.webhook_id)}><code>{webhook.webhook_id}</code></a> {webhook.delivers ? <span class="good-text">✓ gets it</span> : <span class="muted">does not: {webhook.reason?.replaceAll('_', ' ')}</span>}</li>)}</ul>
        </div>
      ) : null}
    </section>
  )
}

export function EventPage({ id }: { id: string }) {
  const { value: event, problem, reload } = useApi<EventWithDeliveries>(`/v1/events/${id}`, LIVE_MS)
  if (!event) return problem ? <Failed problem={problem} retry={reload} /> : <Skeleton lines={8} />
  const { deliveries, next_cursor, ...payload } = event
  const text = JSON.stringify(payload)
  return (
    <>
      <nav aria-label="Where you are" class="crumbs"><a href={link('events')}>Events</a></nav>
      <h1><code>{event.type}</code></h1>
      <p class="muted"><code>{event.id}</code> published <Time at={event.created_at} /></p>
      <h2>Deliveries</h2>
      {deliveries.length === 0 ? <p class="muted">No webhook gets it.</p> : (
        <ul class="plain lines">{deliveries.map((delivery) => <li key={delivery.id}><DeliveryRow delivery={delivery} /></li>)}</ul>
      )}
      {next_cursor ? <p class="muted">Only the first deliveries are shown.</p> : null}
      <h2>Payload</h2>
      <Raw text={pretty(text) ?? text} label="Payload, laid out" />
    </>
  )
}
