// One delivery: a timeline of its attempts, the request as it would be sent now, and what can be done.
import { type Delivery, type OutgoingRequest, post } from '../api'
import { useRefusal } from '../context'
import { useAction, useApi } from '../data'
import { link } from '../route'
import { exact, milliseconds, pretty } from '../text'
import { Button, CopyButton, Failed, Outcome, Raw, Skeleton, Status, Time } from '../ui'

const LIVE_MS = 2_000

export function DeliveryPage({ id }: { id: string }) {
  const path = `/v1/deliveries/${id}`
  const { value: delivery, problem, reload, set } = useApi<Delivery>(path, LIVE_MS)
  const request = useApi<OutgoingRequest>(`${path}/request`)
  const action = useAction()
  const refused = useRefusal()
  const act = (verb: 'retry' | 'cancel') => action.run(async () => { set(await post<Delivery>(`${path}/${verb}`)); reload() })
  if (!delivery) return problem ? <Failed problem={problem} retry={reload} /> : <Skeleton lines={8} />
  const over = delivery.status === 'cancelled' ? 'It is cancelled.' : undefined
  const done = delivery.status === 'delivered' ? 'It is delivered.' : over
  return (
    <>
      <nav aria-label="Where you are" class="crumbs">
        <a href={link('webhooks', delivery.webhook_id)}>Webhook</a> <span aria-hidden="true">/</span> <a href={link('webhooks', delivery.webhook_id, 'deliveries')}>Deliveries</a>
      </nav>
      <div class="title">
        <h1><code>{delivery.event_type}</code>{delivery.test ? ' test' : ''} <Status of={delivery.status} /></h1>
        <div class="row">
          <Button onClick={() => void act('retry')} busy={action.busy} refused={refused ?? over}>Retry now</Button>
          <Button onClick={() => void act('cancel')} busy={action.busy} refused={refused ?? done}>Cancel</Button>
        </div>
      </div>
      {action.problem ? <Failed problem={action.problem} /> : null}
      {problem ? <Failed problem={problem} retry={reload} /> : null}
      <p class="muted">
        Event <a href={link('events', delivery.event_id)}><code>{delivery.event_id}</code></a> of <Time at={delivery.created_at} /> <CopyButton text={delivery.id} label="Copy the delivery's id" />
      </p>
      <h2>Attempts</h2>
      <ol class="timeline">
        {delivery.attempts.map((attempt) => (
          <li key={attempt.number}>
            <div class="row">
              <strong>Attempt {attempt.number}</strong> <Outcome attempt={attempt} /> <span class="muted numbers">{milliseconds(attempt.duration_ms)}</span> <span class="muted" title={exact(attempt.started_at)}><Time at={attempt.started_at} /></span>
            </div>
            {attempt.response_body ? <Raw text={attempt.response_body} label="The receiver's answer" /> : null}
          </li>
        ))}
        <li class="next"><WhatNext delivery={delivery} /></li>
      </ol>
      <h2>The request as it would be sent now</h2>
      {request.value ? <RequestView request={request.value} /> : request.problem ? <p class="muted">{request.problem.message}</p> : <Skeleton />}
    </>
  )
}

function WhatNext({ delivery }: { delivery: Delivery }) {
  switch (delivery.status) {
    case 'pending':
      return delivery.next_attempt_at ? <>The next attempt is due <Time at={delivery.next_attempt_at} />.</> : <>The next attempt is about to be made.</>
    case 'delivered':
      return <>The receiver has accepted it. Nothing is left to do.</>
    case 'failed':
      return <>Every attempt has failed. Retry it now, or recover the webhook when the receiver works again.</>
    case 'held':
      return <>It waits until the webhook is enabled again.</>
    default:
      return <>It is cancelled, and is not attempted again.</>
  }
}

function RequestView({ request }: { request: OutgoingRequest }) {
  const laidOut = pretty(request.body)
  return (
    <>
      <p class="muted clip"><code>{request.method ?? 'polled'} {request.url ?? ''}</code></p>
      <table class="headers">
        <caption class="hidden">Headers</caption>
        <tbody>
          {Object.entries(request.headers).map(([name, value]) => <tr key={name}><th scope="row"><code>{name}</code></th><td><code>{value}</code></td></tr>)}
        </tbody>
      </table>
      {laidOut ? <Raw text={laidOut} label="Payload, laid out" /> : null}
      <details open={!laidOut}><summary>The exact bytes</summary><Raw text={request.body} label="Payload, byte for byte" /></details>
    </>
  )
}
