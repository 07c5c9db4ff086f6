// The account's webhooks: how each does, what waits for it, and when it is tried next.
import type { Delivery, Page, Webhook, WebhookHealth } from '../api'
import { useRefusal } from '../context'
import { useApi, useList } from '../data'
import { link } from '../route'
import { milliseconds, percent } from '../text'
import { DisabledNote, Empty, Failed, Skeleton, Sparkline, Status, Time } from '../ui'

const LIVE_MS = 10_000

export function WebhooksPage() {
  const { items, problem, hasMore, loading, more, reload } = useList<Webhook>('/v1/webhooks?limit=20', true)
  const refusal = useRefusal()
  return (
    <>
      <div class="title">
        <h1>Webhooks</h1>
        {refusal ? null : <a class="button primary" href={link('webhooks', 'new')}>Add a webhook</a>}
      </div>
      {problem ? <Failed problem={problem} retry={reload} /> : null}
      {items === undefined ? (problem ? null : <Skeleton lines={4} />) : items.length === 0 ? (
        <Empty title="No webhooks yet">
          <p>A webhook is a URL of yours that gets a request whenever something happens.</p>
          {refusal ? null : <p><a class="button primary" href={link('webhooks', 'new')}>Add your first webhook</a></p>}
        </Empty>
      ) : (
        <ul class="cards">{items.map((webhook) => <WebhookRow key={webhook.id} webhook={webhook} />)}</ul>
      )}
      {hasMore ? <p><button type="button" onClick={more} disabled={loading}>Show more</button></p> : null}
    </>
  )
}

function WebhookRow({ webhook }: { webhook: Webhook }) {
  const path = `/v1/webhooks/${webhook.id}`
  const isPolled = webhook.delivery === 'poll'
  const health = useApi<WebhookHealth>(isPolled ? undefined : `${path}/health`, LIVE_MS)
  const latest = useApi<Page<Delivery>>(isPolled ? undefined : `${path}/deliveries?limit=30`, LIVE_MS)
  const held = useApi<Page<Delivery>>(isPolled || webhook.status === 'enabled' ? undefined : `${path}/deliveries?status=held&limit=100`, LIVE_MS)
  const heldCount = held.value?.data.length ?? 0
  return (
    <li class="card">
      <div class="row">
        <a class="url" href={link('webhooks', webhook.id)}>{webhook.url ?? 'Polled: no URL'}</a>
        <Status of={webhook.status} />
      </div>
      {webhook.description ? <p class="muted clip">{webhook.description}</p> : null}
      <p class="muted clip">{webhook.events.join(', ')}</p>
      {webhook.status === 'disabled' ? (
        <p class="bad-text">
          <DisabledNote webhook={webhook} />{heldCount > 0 ? ` ${heldCount}${held.value?.next_cursor ? ' or more' : ''} held.` : ''}
        </p>
      ) : null}
      {isPolled ? null : (
        <div class="row figures">
          {latest.value ? <Sparkline deliveries={latest.value.data} /> : <span class="spark-place" />}
          {health.value && health.value.deliveries > 0 ? <HealthLine health={health.value} /> : null}
        </div>
      )}
    </li>
  )
}

export function HealthLine({ health }: { health: WebhookHealth }) {
  return (
    <dl class="figures">
      {health.delivered_share === null || health.delivered_share === undefined ? null : <div><dt>delivered</dt><dd>{percent(health.delivered_share)}</dd></div>}
      {health.latency_ms.p50 === null || health.latency_ms.p50 === undefined ? null : <div><dt>median</dt><dd>{milliseconds(health.latency_ms.p50)}</dd></div>}
      {health.latency_ms.p95 === null || health.latency_ms.p95 === undefined ? null : <div><dt>p95</dt><dd>{milliseconds(health.latency_ms.p95)}</dd></div>}
      {health.last_failure ? <div><dt>last failure</dt><dd><a href={link('deliveries', health.last_failure.delivery_id)}><Time at={health.last_failure.at} /></a></dd></div> : null}
      {health.last_success_at ? <div><dt>last success</dt><dd><Time at={health.last_success_at} /></dd></div> : null}
    </dl>
  )
}
