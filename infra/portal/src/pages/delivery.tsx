// One delivery: a timeline of its attempts, the request as it would be sent now, and what can be done.
import { type Attempt, type Delivery, type OutgoingRequest, post } from '../api'
import { useRefusal } from '../context'
import { useAction, useApi } from '../data'
import { Icon, type IconName } from '../icon'
import { Payload, Raw } from '../raw'
import { link } from '../route'
import { isSuccess, milliseconds } from '../text'
import { Button, CopyButton, Failed, NoPage, Note, Outcome, Skeleton, Status, Time } from '../ui'

const LIVE_MS = 2_000

export function DeliveryPage({ id }: { id: string }) {
  const path = `/v1/deliveries/${id}`
  const { value: delivery, problem, reload, set } = useApi<Delivery>(path, LIVE_MS)
  const request = useApi<OutgoingRequest>(`${path}/request`)
  const action = useAction()
  const refused = useRefusal()
  const act = (verb: 'retry' | 'cancel') =>
    action.run(async () => {
      set(await post<Delivery>(`${path}/${verb}`))
      reload()
    })
  if (!delivery) return problem ? <NoPage problem={problem} retry={reload} /> : <Skeleton lines={8} />
  const isCancelled = delivery.status === 'cancelled' ? 'It is cancelled.' : undefined
  const isDone = delivery.status === 'delivered' ? 'It is delivered.' : isCancelled
  return (
    <>
      <nav aria-label="Where you are" class="crumbs">
        <a href={link('webhooks', delivery.webhook_id)}>Webhook</a><Icon name="chevron" size={12} />
        <a href={link('webhooks', delivery.webhook_id, 'deliveries')}>Deliveries</a><Icon name="chevron" size={12} />
      </nav>
      <div class="title tight">
        <h1><code>{delivery.event_type}</code><Status of={delivery.status} />{delivery.test ? <span class="status plain">test</span> : null}</h1>
        <div class="row">
          <Button icon="retry" onClick={() => void act('retry')} busy={action.busy} refused={refused ?? isCancelled}>Retry now</Button>
          <Button onClick={() => void act('cancel')} busy={action.busy} refused={refused ?? isDone}>Cancel</Button>
        </div>
      </div>
      <div class="meta">
        <span>published&nbsp;<Time at={delivery.created_at} /></span>
        <span>event&nbsp;{delivery.test ? <code>{delivery.event_id}</code> : <a href={link('events', delivery.event_id)}><code>{delivery.event_id}</code></a>}</span>
        <span>delivery&nbsp;<code>{delivery.id}</code><CopyButton text={delivery.id} label="" of="the delivery's id" /></span>
      </div>
      {action.problem ? <Failed problem={action.problem} /> : null}
      {problem ? <Failed problem={problem} retry={reload} /> : null}
      <div class="split">
        <section>
          <h2>Attempts</h2>
          <ol class="timeline">
            {delivery.attempts.map((attempt) => <AttemptItem key={attempt.number} attempt={attempt} />)}
            <li><Next delivery={delivery} /></li>
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

function AttemptItem({ attempt }: { attempt: Attempt }) {
  const isGood = isSuccess(attempt)
  const body = attempt.response_body
  return (
    <li>
      <span class={`mark ${isGood ? 'good' : 'bad'}`}><Icon name={isGood ? 'check' : 'cross'} size={12} /></span>
      <div class="row">
        <strong>Attempt {attempt.number}</strong>
        <Outcome attempt={attempt} />
        <span class="muted numbers">{milliseconds(attempt.duration_ms)}</span>
        <span class="muted push"><Time at={attempt.started_at} /></span>
      </div>
      {attempt.error && ERRORS[attempt.error] ? <div class="muted">{ERRORS[attempt.error]}</div> : null}
      {body ? <Raw text={body} label="Answer" name={`Answer to attempt ${attempt.number}`} /> : attempt.error ? null : <div class="muted">The answer had no body.</div>}
    </li>
  )
}

/** What happens next, and when. */
function Next({ delivery }: { delivery: Delivery }) {
  const [icon, tone, text] = nextOf(delivery)
  return <><span class={`mark ${tone}`}><Icon name={icon} size={12} /></span><div class="row"><span>{text}</span></div></>
}

function nextOf(delivery: Delivery): [IconName, string, preact.ComponentChildren] {
  switch (delivery.status) {
    case 'pending':
      return ['clock', 'wait', delivery.next_attempt_at ? <>Attempt {delivery.attempts.length + 1} is due <Time at={delivery.next_attempt_at} />.</> : 'The next attempt is about to be made.']
    case 'delivered':
      return ['check', 'good', 'The receiver has accepted it. Nothing is left to do.']
    case 'failed':
      return ['cross', 'bad', delivery.test ? 'A test is not retried.' : <>It is not retried by itself any more. Retry it now, or <a href={link('webhooks', delivery.webhook_id, 'recover')}>recover</a> all that has failed.</>]
    case 'held':
      return ['pause', 'wait', <>It waits until <a href={link('webhooks', delivery.webhook_id)}>the webhook</a> is enabled again.</>]
    default:
      return ['dash', 'plain', 'It is cancelled, and is not attempted again.']
  }
}

function RequestView({ request }: { request: OutgoingRequest }) {
  return (
    <>
      <table class="headers">
        <caption class="hidden">The request's line and headers</caption>
        <tbody>
          <tr><th scope="row"><code>{request.method ?? 'polled'}</code></th><td><code>{request.url ?? 'by the client'}</code></td></tr>
          {Object.entries(request.headers).map(([name, value]) => <tr key={name}><th scope="row"><code>{name}</code></th><td><code>{value}</code></td></tr>)}
        </tbody>
      </table>
      <Payload text={request.body} label="Payload" />
    </>
  )
}
