// One event: its payload, and all its deliveries.
import { useCallback, useState } from 'preact/hooks'
import { type Delivery, type EventWithDeliveries, type OutgoingRequest, type Page, type Webhook, get, query } from '../api'
import { useAction, useApi } from '../data'
import { Icon } from '../icon'
import { Payload } from '../raw'
import { link } from '../route'
import { Button, CopyButton, Failed, NoPage, Skeleton, Time } from '../ui'
import { DeliveryHeads, DeliveryRow } from './deliveries'

const LIVE_MS = 3_000

export function EventPage({ id }: { id: string }) {
  const path = `/v1/events/${id}`
  const { value: event, problem, reload } = useApi<EventWithDeliveries>(path, LIVE_MS)
  const [further, setFurther] = useState<{ deliveries: Delivery[]; cursor: string | null }>()
  const webhooks = useApi<Page<Webhook>>('/v1/webhooks?limit=100')
  const nameOf = (id: string) => {
    const webhook = webhooks.value?.data.find((webhook) => webhook.id === id)
    return webhook?.description || webhook?.url || id
  }
  const action = useAction()
  const cursor = further ? further.cursor : event?.next_cursor
  const more = useCallback(
    (cursor: string) =>
      action.run(async () => {
        const page = await get<EventWithDeliveries>(query(path, { cursor }))
        setFurther((before) => ({ deliveries: [...(before?.deliveries ?? []), ...page.deliveries], cursor: page.next_cursor ?? null }))
      }),
    [path],
  )
  // The exact bytes are those of a request; without a delivery there is none to read them from.
  const first = event?.deliveries[0]
  const request = useApi<OutgoingRequest>(first && `/v1/deliveries/${first.id}/request`)
  if (!event) return problem ? <NoPage problem={problem} retry={reload} /> : <Skeleton lines={8} />
  const { deliveries: start, next_cursor: _, ...payload } = event
  const deliveries = [...start, ...(further?.deliveries ?? [])]
  return (
    <>
      <nav aria-label="Where you are" class="crumbs"><a href={link('events')}>Events</a><Icon name="chevron" size={12} /></nav>
      <div class="title tight"><h1><code>{event.type}</code></h1></div>
      <div class="meta">
        <span>published&nbsp;<Time at={event.created_at} /></span>
        <span><code>{event.id}</code><CopyButton text={event.id} label="" of="the event's id" /></span>
      </div>
      {problem ? <Failed problem={problem} retry={reload} /> : null}
      <section>
        <h2>Deliveries</h2>
        {deliveries.length === 0 ? <p class="muted">No webhook gets it: none that was enabled subscribed to this type, or their filters did not match.</p> : (
          <><DeliveryHeads name="Webhook" /><ul class="rows">{deliveries.map((delivery) => <li key={delivery.id}><DeliveryRow delivery={delivery} name={nameOf(delivery.webhook_id)} /></li>)}</ul></>
        )}
        {action.problem ? <Failed problem={action.problem} /> : null}
        {cursor ? <p class="row"><Button busy={action.busy} onClick={() => void more(cursor)}>Show more</Button></p> : null}
      </section>
      <section>
        <h2>Payload</h2>
        {first && !request.value && !request.problem ? <Skeleton lines={4} /> : <Payload text={request.value?.body ?? JSON.stringify(payload)} label="Payload" />}
      </section>
    </>
  )
}
