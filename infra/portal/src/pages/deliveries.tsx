// The deliveries of a webhook, newest first, live.
import { type Delivery, type EventType, type Page, query } from '../api'
import { useApi, useList } from '../data'
import { link, setParameters } from '../route'
import { milliseconds } from '../text'
import { Empty, Failed, Outcome, Skeleton, Status, Time } from '../ui'
import { Older, Windowed } from '../windowed'

const STATUSES = ['pending', 'delivered', 'failed', 'held', 'cancelled']

/** The height of a row, in pixels, which the style sheet gives it: on a telephone it has two lines. */
export const rowHeight = (): number => (matchMedia('(max-width: 760px)').matches ? 60 : 40)

/** The heads of the columns of `DeliveryRow`. Each cell says by itself what it is, so a screen reader needs none. */
export function DeliveryHeads({ name = 'Type' }: { name?: string }) {
  return <div class="delivery heads" aria-hidden="true"><span>Status</span><span>{name}</span><span>Answer</span><span class="wide">Duration</span><span class="wide">Attempts</span><span class="wide when">Published</span></div>
}

export function Deliveries({ webhook, parameters }: { webhook: string; parameters: URLSearchParams }) {
  const status = parameters.get('status') ?? ''
  const type = parameters.get('type') ?? ''
  const list = useList<Delivery>(query(`/v1/webhooks/${webhook}/deliveries`, { limit: 100, status, event_type: type }), true)
  const catalogue = useApi<Page<EventType>>('/v1/event-types')
  const types = [...new Set([...(type ? [type] : []), ...(catalogue.value?.data ?? []).map((entry) => entry.name)])]
  const choose = (name: 'status' | 'type') => (event: { currentTarget: { value: string } }) => setParameters({ status, type, [name]: event.currentTarget.value })
  return (
    <>
      <div class="row filters">
        <select aria-label="Status" value={status} onChange={choose('status')}><option value="">Any status</option>{STATUSES.map((name) => <option key={name}>{name}</option>)}</select>
        <select aria-label="Type" value={type} onChange={choose('type')}><option value="">Any type</option>{types.map((name) => <option key={name}>{name}</option>)}</select>
        {status === 'failed' || status === 'held' ? <a href={link('webhooks', webhook, 'recover')}>Recover these</a> : null}
        <span class="live">Live</span>
      </div>
      {list.problem ? <Failed problem={list.problem} retry={list.reload} /> : null}
      {list.items === undefined ? (list.problem ? null : <Skeleton lines={8} />) : list.items.length === 0 ? list.hasMore ? null : (
        status || type
          ? <Empty title="No such deliveries"><p>Choose another status or type.</p></Empty>
          : <Empty title="No deliveries yet"><p>Send a test from the overview, or publish an event of a type that the webhook subscribes to.</p></Empty>
      ) : (
        <>
          <DeliveryHeads />
          <Windowed items={list.items} hasMore={list.hasMore} height={rowHeight()} label="Deliveries" onEnd={list.isThin ? undefined : list.more} row={(delivery) => <DeliveryRow delivery={delivery} />} />
        </>
      )}
      <Older list={list} />
    </>
  )
}

/** `name` is what tells the delivery from its neighbours: the type of its event, unless all have the same. */
export function DeliveryRow({ delivery, name }: { delivery: Delivery; name?: string | undefined }) {
  const last = delivery.attempts[delivery.attempts.length - 1]
  return (
    <a class="delivery" href={link('deliveries', delivery.id)}>
      <Status of={delivery.status} />
      {name ? <span class="clip">{name}</span> : <code class="clip">{delivery.event_type}{delivery.test ? ' (test)' : ''}</code>}
      <span class="clip">{last ? <Outcome attempt={last} /> : <span class="muted">not attempted</span>}</span>
      <span class="wide numbers">{last ? milliseconds(last.duration_ms) : ''}</span>
      <span class="wide numbers">{delivery.attempts.length || ''}</span>
      <span class="wide when numbers"><Time at={delivery.created_at} /></span>
    </a>
  )
}
