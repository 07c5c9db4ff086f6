// One delivery: a timeline of its attempts, the request as it would be sent now, and what can be done.
import { useState } from 'preact/hooks'
import { type Attempt, type Delivery, type OutgoingRequest, type Webhook, post } from '../api'
import { useRefusal } from '../context'
import { useAction, useApi } from '../data'
import { Icon, type IconName } from '../icon'
import { Payload, Raw } from '../raw'
import { link } from '../route'
import { isSuccess, milliseconds } from '../text'
import { Button, CopyButton, Dialog, Failed, NoPage, Note, Outcome, Skeleton, Status, Time } from '../ui'

const LIVE_MS = 2_000

export function DeliveryPage({ id }: { id: string }) {
  const path = `/v1/deliveries/${id}`
  const { value: delivery, problem, reload, set } = useApi<Delivery>(path, LIVE_MS)
  const request = useApi<OutgoingRequest>(`${path}/request`)
  const webhook = useApi<Webhook>(delivery && `/v1/webhooks/${delivery.webhook_id}`, LIVE_MS)
  const [isAsked, setAsked] = useState(false)
  const action = useAction()
  const refused = useRefusal()
  const act = (verb: 'retry' | 'cancel') =>
    action.run(async () => {
      try {
        set(await post<Delivery>(`${path}/${verb}`))
        reload()
      } finally {
        setAsked(false)
      }
    })
  if (!delivery) return problem ? <NoPage problem={problem} retry={reload} /> : <Skeleton lines={8} />
  const isCancelled = delivery.status === 'cancelled' ? 'It is cancelled.' : undefined
  const isOff = webhook.value?.status === 'disabled'
  const isDone = delivery.status === 'delivered' ? 'It is delivered.' : isCancelled
  return (
    <>
      <nav aria-label="Where you are" class="crumbs">
        <a class="clip" href={link('webhooks', delivery.webhook_id)}>{webhook.value?.url ?? 'Webhook'}</a><Icon name="chevron" size={12} />
        <a href={link('webhooks', delivery.webhook_id, 'deliveries')}>Deliveries</a><Icon name="chevron" size={12} />
      </nav>
      <div class="title tight">
        <h1><code>{delivery.event_type}</code><Status of={delivery.status} />{delivery.test ? <span class="status plain">test</span> : null}</h1>
        <div class="row">
          <Button icon="retry" onClick={() => void act('retry')} busy={action.busy} refused={refused ?? isCancelled ?? (isOff ? 'Its webhook is disabled. Enable that first.' : undefined)}>Retry now</Button>
          <Button kind="danger" onClick={() => setAsked(true)} busy={action.busy} refused={refused ?? isDone}>Cancel…</Button>
        </div>
      </div>
      <div class="meta">
        <span>published&nbsp;<Time at={delivery.created_at} /></span>
        <span>event&nbsp;{delivery.test ? <code>{delivery.event_id}</code> : <a href={link('events', delivery.event_id)}><code>{delivery.event_id}</code></a>}</span>
        <span>delivery&nbsp;<code>{delivery.id}</code><CopyButton text={delivery.id} label="" of="the delivery's id" /></span>
      </div>
      {isAsked ? (
        <Dialog title="Cancel this delivery?" onClose={() => setAsked(false)}>
          <p>It is never sent again, not by a recovery either. Other deliveries of the event are left alone.</p>
          <div class="row"><Button onClick={() => setAsked(false)}>Not now</Button><Button kind="danger" busy={action.busy} onClick={() => void act('cancel')}>Cancel the delivery</Button></div>
        </Dialog>
      ) : null}
      {isOff && !delivery.test && ['failed', 'held', 'pending'].includes(delivery.status) ? <Note tone="bad">Its webhook is disabled, so nothing can be sent. <a href={link('webhooks', delivery.webhook_id, 'recover')}>Enable it and recover</a> what was not delivered.</Note> : null}
      {action.problem ? <Failed problem={action.problem} /> : null}
      {problem ? <Failed problem={problem} retry={reload} /> : null}
      <div class="split">
        <section>
          <h2>Attempts</h2>
          <ol class="timeline">
            {delivery.attempts.map((attempt, index) => <AttemptItem key={attempt.number} attempt={attempt} before={delivery.attempts[index - 1]} />)}
            <li><Next delivery={delivery} isOff={isOff} /></li>
          </ol>
        </section>
        <section>
          <h2>The request as it would be sent now</h2>
          {request.value ? <RequestView request={request.value} /> : request.problem ? <Note tone="plain">{request.problem.message}</Note> : <Skeleton lines={6} />}
        </section>
      </div>
    </>
  )
}

/** What each kind of failure means. */
const ERRORS: Record<string, string> = {
  timeout: 'The receiver did not answer in time.',
  dns: 'The name of the host was not found.',
  forbidden_address: 'The name leads to an address that nothing may be sent to.',
  connect: 'No connection was made: nothing listens there, or a firewall refuses.',
  tls: 'The certificate of the receiver was not accepted.',
  closed: 'The receiver closed the connection without an answer.',
  protocol: 'What the receiver answered is not HTTP.',
  unsupported_url: 'Nothing can be sent to this URL.',
  oauth: 'The token server gave no access token.',
}

function AttemptItem({ attempt, before }: { attempt: Attempt; before: Attempt | undefined }) {
  const isGood = isSuccess(attempt)
  const body = attempt.response_body
  const isSame = Boolean(body) && body === before?.response_body
  return (
    <li>
      <span class={`mark ${isGood ? 'good' : 'bad'}`}><Icon name={isGood ? 'check' : 'cross'} size={12} /></span>
      <div class="row">
        <strong>Attempt {attempt.number}</strong>
        <Outcome attempt={attempt} />
        <span class="muted numbers">{milliseconds(attempt.duration_ms)}</span>
        <span class="muted push"><Time at={attempt.started_at} inLog /></span>
      </div>
      {attempt.error && ERRORS[attempt.error] ? <div class="muted">{ERRORS[attempt.error]}</div> : null}
      {isSame ? <div class="muted">The same body as before.</div> : body ? <Raw text={body} label="Answer" name={`Answer to attempt ${attempt.number}`} /> : attempt.error ? null : <div class="muted">The answer had no body.</div>}
    </li>
  )
}

/** What happens next, and when. */
function Next({ delivery, isOff }: { delivery: Delivery; isOff: boolean }) {
  const [icon, tone, text] = nextOf(delivery, isOff)
  return <><span class={`mark ${tone}`}><Icon name={icon} size={12} /></span><div class="row"><span>{text}</span></div></>
}

function nextOf(delivery: Delivery, isOff: boolean): [IconName, string, preact.ComponentChildren] {
  switch (delivery.status) {
    case 'pending':
      return ['clock', 'wait', delivery.next_attempt_at ? <>Attempt {delivery.attempts.length + 1} is due <Time at={delivery.next_attempt_at} />.</> : 'The next attempt is about to be made.']
    case 'delivered':
      return ['check', 'good', 'The receiver has accepted it. Nothing is left to do.']
    case 'failed':
      return ['cross', 'bad', delivery.test ? 'A test is not retried.' : <>It is not retried by itself any more. {isOff ? 'When its webhook is enabled again, retry it' : 'Retry it now'}, or <a href={link('webhooks', delivery.webhook_id, 'recover')}>recover</a> all that has failed.</>]
    case 'held':
      return ['pause', 'wait', <>It waits until <a href={link('webhooks', delivery.webhook_id)}>the webhook</a> is enabled again.</>]
    default:
      return ['dash', 'plain', 'It is cancelled, and is not attempted again.']
  }
}

function RequestView({ request }: { request: OutgoingRequest }) {
  return (
    <>
      <p class="url"><code>{request.method ?? 'polled'} {request.url ?? 'by the client'}</code></p>
      <table class="headers" aria-label="The request's headers">
        <tbody>
          {Object.entries(request.headers).map(([name, value]) => <tr key={name}><th scope="row"><code>{name}</code></th><td><code>{value}</code></td></tr>)}
        </tbody>
      </table>
      <Payload text={request.body} label="Payload" />
    </>
  )
}
