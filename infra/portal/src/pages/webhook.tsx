// A webhook: how it does, its deliveries, its settings, recovering, and how to verify its requests.
import { useState } from 'preact/hooks'
import { type ChangedWebhook, type Delivery, type EventType, type Page, type Webhook, type WebhookHealth, call, patch, post } from '../api'
import { LatencyChart } from '../charts/latency'
import { useRefusal } from '../context'
import { useAction, useApi } from '../data'
import { go, link } from '../route'
import { Button, CopyButton, DisabledNote, Dialog, Failed, Skeleton, Status } from '../ui'
import { Deliveries, DeliveryRow } from './deliveries'
import { Recover } from './recover'
import { Rotation } from './secret'
import { Verify } from './verify'
import { WebhookForm } from './webhook_form'
import { HealthLine } from './webhooks'

const TABS = [['', 'Overview'], ['deliveries', 'Deliveries'], ['settings', 'Settings'], ['recover', 'Recover'], ['verify', 'Verify']] as const
const LIVE_MS = 5_000

export function WebhookPage({ id, tab, parameters }: { id: string; tab: string; parameters: URLSearchParams }) {
  const { value: webhook, problem, reload, set } = useApi<Webhook>(`/v1/webhooks/${id}`, LIVE_MS)
  const refused = useRefusal()
  if (!webhook) return problem ? <Failed problem={problem} retry={reload} /> : <Skeleton lines={8} />
  return (
    <>
      <nav aria-label="Where you are" class="crumbs"><a href={link('webhooks')}>Webhooks</a></nav>
      <div class="title">
        <h1 class="url">{webhook.url ?? 'Polled webhook'} <Status of={webhook.status} /></h1>
        <Actions webhook={webhook} refused={refused} changed={set} />
      </div>
      {webhook.description ? <p class="muted">{webhook.description}</p> : null}
      <p class="muted"><code>{webhook.id}</code> <CopyButton text={webhook.id} /></p>
      {webhook.status === 'disabled' ? <p class="note bad"><DisabledNote webhook={webhook} /></p> : null}
      {problem ? <Failed problem={problem} retry={reload} /> : null}
      <nav aria-label="About this webhook" class="tabs">
        {TABS.map(([name, label]) => <a key={name} href={name ? link('webhooks', id, name) : link('webhooks', id)} aria-current={tab === name ? 'page' : undefined}>{label}</a>)}
      </nav>
      {tab === 'deliveries' ? <Deliveries webhook={id} parameters={parameters} /> : null}
      {tab === 'settings' ? <Settings webhook={webhook} refused={refused} changed={set} /> : null}
      {tab === 'recover' ? <Recover webhook={webhook} refused={refused} /> : null}
      {tab === 'verify' ? <Verify webhook={webhook} /> : null}
      {tab === '' ? <Overview webhook={webhook} refused={refused} /> : null}
    </>
  )
}

function Actions({ webhook, refused, changed }: { webhook: Webhook; refused: string | undefined; changed: (webhook: Webhook) => void }) {
  const [asked, setAsked] = useState<'enable' | 'disable' | 'delete'>()
  const action = useAction()
  const path = `/v1/webhooks/${webhook.id}`
  const change = (body: unknown) =>
    action.run(async () => {
      const answer = await patch<ChangedWebhook>(path, body)
      changed(answer)
      setAsked(undefined)
      if (answer.recovery_id) go('webhooks', webhook.id, 'recover')
    })
  const remove = () => action.run(async () => { await call('DELETE', path); go('webhooks') })
  const close = () => { setAsked(undefined); action.clear() }
  return (
    <div class="row">
      {webhook.status === 'disabled' ? <Button kind="primary" refused={refused} onClick={() => setAsked('enable')}>Enable</Button> : <Button refused={refused} onClick={() => setAsked('disable')}>Disable</Button>}
      <Button kind="danger" refused={refused} onClick={() => setAsked('delete')}>Delete</Button>
      {asked === 'enable' ? (
        <Dialog title="Enable this webhook?" onClose={close}>
          <p>Events that were published while it was disabled are held. What becomes of them?</p>
          {action.problem ? <Failed problem={action.problem} /> : null}
          <div class="row">
            <Button kind="primary" busy={action.busy} onClick={() => void change({ status: 'enabled', held: 'recover' })}>Enable and send them</Button>
            <Button busy={action.busy} onClick={() => void change({ status: 'enabled', held: 'cancel' })}>Enable and cancel them</Button>
            <Button kind="quiet" onClick={close}>Leave it</Button>
          </div>
        </Dialog>
      ) : null}
      {asked === 'disable' ? (
        <Dialog title="Disable this webhook?" onClose={close}>
          <p>Nothing is sent until it is enabled again. Events that are published meanwhile are held.</p>
          {action.problem ? <Failed problem={action.problem} /> : null}
          <div class="row"><Button kind="primary" busy={action.busy} onClick={() => void change({ status: 'disabled' })}>Disable</Button><Button kind="quiet" onClick={close}>Leave it</Button></div>
        </Dialog>
      ) : null}
      {asked === 'delete' ? (
        <Dialog title="Delete this webhook?" onClose={close}>
          <p>What is pending for it is cancelled. It cannot be brought back.</p>
          {action.problem ? <Failed problem={action.problem} /> : null}
          <div class="row"><Button kind="danger" busy={action.busy} onClick={() => void remove()}>Delete</Button><Button kind="quiet" onClick={close}>Leave it</Button></div>
        </Dialog>
      ) : null}
    </div>
  )
}

function Overview({ webhook, refused }: { webhook: Webhook; refused: string | undefined }) {
  const isPolled = webhook.delivery === 'poll'
  const path = `/v1/webhooks/${webhook.id}`
  const health = useApi<WebhookHealth>(isPolled ? undefined : `${path}/health`, LIVE_MS)
  const latest = useApi<Page<Delivery>>(isPolled ? undefined : `${path}/deliveries?limit=100`, LIVE_MS)
  if (isPolled) return <p>Its events are read with <code>GET {path}/poll</code>. Nothing is sent.</p>
  const deliveries = latest.value?.data ?? []
  return (
    <>
      {health.value && health.value.deliveries > 0 ? <HealthLine health={health.value} /> : null}
      {latest.problem ? <Failed problem={latest.problem} retry={latest.reload} /> : null}
      <LatencyChart deliveries={deliveries} />
      <SendTest webhook={webhook} refused={refused} />
      <h2>Latest deliveries</h2>
      {latest.value === undefined ? (latest.problem ? null : <Skeleton lines={5} />) : deliveries.length === 0 ? <p class="muted">None yet. Send a test to see one arrive.</p> : (
        <ul class="plain lines">{deliveries.slice(0, 8).map((delivery) => <li key={delivery.id}><DeliveryRow delivery={delivery} /></li>)}</ul>
      )}
      {deliveries.length > 8 ? <p><a href={link('webhooks', webhook.id, 'deliveries')}>All deliveries</a></p> : null}
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
  const send = () => action.run(async () => setSent((await post<Delivery>('/v1/webhooks/test', { webhook_id: webhook.id, event_type: chosen })).id))
  return (
    <section>
      <h2>Send a test</h2>
      <div class="row end">
        <label>Type <select value={chosen} onChange={(event) => setType(event.currentTarget.value)}>{types.map((name) => <option key={name}>{name}</option>)}</select></label>
        <Button onClick={() => void send()} busy={action.busy} refused={refused}>Send a test</Button>
      </div>
      {action.problem ? <Failed problem={action.problem} /> : null}
      {sent ? <TestResult key={sent} id={sent} /> : null}
    </section>
  )
}

function TestResult({ id }: { id: string }) {
  const [isOver, setOver] = useState(false)
  const { value: delivery, problem } = useApi<Delivery>(`/v1/deliveries/${id}`, isOver ? undefined : TEST_LIVE_MS)
  if (delivery && delivery.attempts.length > 0 && !isOver) setOver(true)
  return (
    <div aria-live="polite">
      {problem ? <Failed problem={problem} /> : null}
      {delivery && delivery.attempts.length > 0 ? <DeliveryRow delivery={delivery} /> : <p class="muted">On its way…</p>}
    </div>
  )
}

function Settings({ webhook, refused, changed }: { webhook: Webhook; refused: string | undefined; changed: (webhook: Webhook) => void }) {
  const [saved, setSaved] = useState(false)
  const save = async (body: Record<string, unknown>) => {
    setSaved(false)
    if (Object.keys(body).length > 0) changed(await patch<Webhook>(`/v1/webhooks/${webhook.id}`, body))
    setSaved(true)
  }
  return (
    <>
      <WebhookForm key={webhook.updated_at} webhook={webhook} refused={refused} label="Save" save={save} />
      <p role="status">{saved ? <span class="good-text">✓ Saved.</span> : null}</p>
      <Rotation webhook={webhook} refused={refused} />
    </>
  )
}
