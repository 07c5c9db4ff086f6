// The deliveries of a webhook, newest first, live.
import type { Delivery, EventType, Page } from '../api'
import { useApi, useList } from '../data'
import { query } from '../api'
import { link, setParameters } from '../route'
import { milliseconds } from '../text'
import { Empty, Failed, Outcome, Skeleton, Status, Time } from '../ui'
import { Windowed } from '../windowed'

const STATUSES = ['pending', 'delivered', 'failed', 'held', 'cancelled']
const ROW_PX = 44

export function Deliveries({ webhook, parameters }: { webhook: string; parameters: URLSearchParams }) {
  const status = parameters.get('status') ?? ''
  const type = parameters.get('type') ?? ''
  const list = useList<Delivery>(query(`/v1/webhooks/${webhook}/deliveries`, { limit: 100, status, event_type: type }), true)
  const catalogue = useApi<Page<EventType>>('/v1/event-types')
  const types = (catalogue.value?.data ?? []).map((entry) => entry.name)
  const choose = (name: 'status' | 'type') => (event: { currentTarget: { value: string } }) => setParameters({ status, type, [name]: event.currentTarget.value })
  return (
    <>
      <div class="row filters">
        <label>Status <select value={status} onChange={choose('status')}><option value="">any</option>{STATUSES.map((name) => <option key={name}>{name}</option>)}</select></label>
        <label>Type <select value={type} onChange={choose('type')}><option value="">any</option>{[...new Set(type ? [type, ...types] : types)].map((name) => <option key={name}>{name}</option>)}</select></label>
        <span class="muted live">● live</span>
      </div>
      {list.problem ? <Failed problem={list.problem} retry={list.reload} /> : null}
      {list.items === undefined ? (list.problem ? null : <Skeleton lines={6} />) : list.items.length === 0 ? (
        <Empty title={status || type ? 'No such deliveries' : 'No deliveries yet'}>
          <p>{status || type ? 'Choose another status or type.' : 'Send a test, or publish an event of a type that the webhook subscribes to.'}</p>
        </Empty>
      ) : (
        <Windowed items={list.items} height={ROW_PX} label="Deliveries" onEnd={list.more} row={(delivery) => <DeliveryRow delivery={delivery} />} />
      )}
      {list.hasMore && list.loading ? <Skeleton lines={1} /> : null}
    </>
  )
}

export function DeliveryRow({ delivery }: { delivery: Delivery }) {
  const last = delivery.attempts[delivery.attempts.length - 1]
  return (
    <a class="delivery" href={link('deliveries', delivery.id)}>
      <Status of={delivery.status} />
      <code class="clip">{delivery.event_type}{delivery.test ? ' (test)' : ''}</code>
      <span class="clip">{last ? <Outcome attempt={last} /> : <span class="muted">not attempted</span>}</span>
      <span class="muted numbers wide">{last ? milliseconds(last.duration_ms) : ''}</span>
      <span class="muted numbers wide">{delivery.attempts.length > 1 ? `${delivery.attempts.length} attempts` : ''}</span>
      <span class="muted when"><Time at={delivery.created_at} /></span>
    </a>
  )
}
