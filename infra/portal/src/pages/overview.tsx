// How a webhook does: figures, a chart, a test, and its latest deliveries.
import { useState } from 'preact/hooks'
import { type Delivery, type EventType, type Page, type Webhook, type WebhookHealth, post } from '../api'
import { LatencyChart } from '../charts/latency'
import { useAction, useApi } from '../data'
import { link } from '../route'
import { isSuccess } from '../text'
import { Button, Failed, Note, Skeleton } from '../ui'
import { DeliveryHeads, DeliveryRow } from './deliveries'
import { HealthFigures } from './webhooks'

const LIVE_MS = 5_000
const SHOWN = 8

export function Overview({ webhook, health, refused }: { webhook: Webhook; health: WebhookHealth | undefined; refused: string | undefined }) {
  const path = `/v1/webhooks/${webhook.id}`
  const isPolled = webhook.delivery === 'poll'
  const latest = useApi<Page<Delivery>>(isPolled ? undefined : `${path}/deliveries?limit=100`, LIVE_MS)
  if (isPolled) return <Polled webhook={webhook} />
  const deliveries = latest.value?.data
  return (
    <>
      {health && health.deliveries > 0 ? <HealthFigures health={health} /> : null}
      {latest.problem ? <Failed problem={latest.problem} retry={latest.reload} /> : null}
      {deliveries ? <LatencyChart deliveries={deliveries} /> : latest.problem ? null : <Skeleton lines={6} />}
      <SendTest webhook={webhook} refused={refused} />
      <section>
        <div class="section-title"><h2>Latest deliveries</h2><a href={link('webhooks', webhook.id, 'deliveries')}>All deliveries</a></div>
        {deliveries === undefined ? (latest.problem ? null : <Skeleton lines={5} />) : deliveries.length === 0 ? (
          <p class="muted">None yet. Send a test to see one arrive.</p>
        ) : (
          <><DeliveryHeads /><ul class="rows">{deliveries.slice(0, SHOWN).map((delivery) => <li key={delivery.id}><DeliveryRow delivery={delivery} /></li>)}</ul></>
        )}
      </section>
    </>
  )
}

function Polled({ webhook }: { webhook: Webhook }) {
  return (
    <>
      <p>This webhook has no URL. Its client asks for the events at its own pace, with a token of its own:</p>
      <pre tabIndex={0} role="region" aria-label="The request of the client">{`GET ${location.origin}/v1/webhooks/${webhook.id}/poll?from=start`}</pre>
    </>
  )
}

const TEST_LIVE_MS = 1_000

function SendTest({ webhook, refused }: { webhook: Webhook; refused: string | undefined }) {
  const catalogue = useApi<Page<EventType>>('/v1/event-types')
  const [type, setType] = useState('')
  const [sent, setSent] = useState<string>()
  const action = useAction()
  const types = (catalogue.value?.data ?? []).map((entry) => entry.name)
  const chosen = type || types[0] || ''
  const send = () =>
    action.run(async () => setSent((await post<Delivery>('/v1/webhooks/test', { webhook_id: webhook.id, event_type: chosen })).id))
  return (
    <section>
      <h2>Send a test</h2>
      <div class="row">
        <select aria-label="Type of the test" value={chosen} onChange={(event) => setType(event.currentTarget.value)}>{types.map((name) => <option key={name}>{name}</option>)}</select>
        <Button icon="send" onClick={() => void send()} busy={action.busy} refused={refused ?? (chosen ? undefined : 'The catalogue of types is not read yet.')}>Send a test</Button>
        <span class="muted small">One attempt with the sample of the type. It is not retried, and does not count as a failure.</span>
      </div>
      <div aria-live="polite" class="tested">
        {action.problem ? <Failed problem={action.problem} /> : null}
        {sent ? <TestResult key={sent} id={sent} webhook={webhook} /> : null}
      </div>
    </section>
  )
}

function TestResult({ id, webhook }: { id: string; webhook: Webhook }) {
  const [isOver, setOver] = useState(false)
  const { value: delivery, problem } = useApi<Delivery>(`/v1/deliveries/${id}`, isOver ? undefined : TEST_LIVE_MS)
  const attempt = delivery?.attempts[0]
  if (attempt && !isOver) setOver(true)
  if (problem && !delivery) return <Failed problem={problem} />
  if (!delivery || !attempt) return <p class="muted">On its way…</p>
  return (
    <>
      <ul class="rows"><li><DeliveryRow delivery={delivery} /></li></ul>
      {webhook.status === 'disabled' && isSuccess(attempt) ? <Note tone="good">Your receiver answers. <a href={link('webhooks', webhook.id, 'recover')}>Enable the webhook</a>, and it gets what is held.</Note> : null}
      {attempt.response_body ? <pre tabIndex={0} role="region" aria-label="The receiver's answer">{attempt.response_body.slice(0, 2_000)}</pre> : null}
    </>
  )
}
