// The account's webhooks: how each does, what waits for it, and when it is tried next.
import type { Delivery, Page, Webhook, WebhookHealth } from '../api'
import { useRefusal } from '../context'
import { useApi, useList } from '../data'
import { Icon } from '../icon'
import { link } from '../route'
import { milliseconds, percent } from '../text'
import { Sparkline } from '../charts/sparkline'
import { Button, DisabledNote, Empty, Failed, Skeleton, Status, Time } from '../ui'

const LIVE_MS = 10_000
const LATEST = 32

export function WebhooksPage() {
  const { items, problem, hasMore, loading, more, reload } = useList<Webhook>('/v1/webhooks?limit=20', true)
  const refusal = useRefusal()
  const add = refusal ? null : <a class="button primary" href={link('webhooks', 'new')}><Icon name="plus" />Add a webhook</a>
  return (
    <>
      <div class="title"><h1>Webhooks</h1>{items?.length ? add : null}</div>
      {problem ? <Failed problem={problem} retry={reload} /> : null}
      {items === undefined ? (problem ? null : <Skeleton lines={6} />) : items.length === 0 ? (
        <Empty title="No webhooks yet" icon="webhook">
          <p>A webhook is a URL of yours that gets a request whenever something happens.</p>
          {add ?? <p>This link may not add one.</p>}
        </Empty>
      ) : (
        <ul class="rows">{[...items].sort(disabledFirst).map((webhook) => <WebhookRow key={webhook.id} webhook={webhook} />)}</ul>
      )}
      {hasMore ? <p class="row"><Button onClick={more} busy={loading}>Show more</Button></p> : null}
    </>
  )
}

/** What needs somebody comes first. Sorting is stable, so the order is otherwise that of the API. */
const disabledFirst = (one: Webhook, other: Webhook) => Number(other.status === 'disabled') - Number(one.status === 'disabled')

function WebhookRow({ webhook }: { webhook: Webhook }) {
  const isPolled = webhook.delivery === 'poll'
  const path = isPolled ? undefined : `/v1/webhooks/${webhook.id}`
  const health = useApi<WebhookHealth>(path && `${path}/health`, LIVE_MS)
  const latest = useApi<Page<Delivery>>(path && `${path}/deliveries?limit=${LATEST}`, LIVE_MS)
  const isOff = webhook.status === 'disabled' && !isPolled
  const held = useApi<Page<Delivery>>(isOff ? `${path}/deliveries?status=held&limit=100` : undefined, LIVE_MS)
  const share = health.value?.delivered_share
  const median = health.value?.latency_ms.p50
  return (
    <li class="webhook">
      <div class="about">
        <a class="url" href={link('webhooks', webhook.id)}>{webhook.url ?? 'Polled webhook'}</a>
        {webhook.description ? <div class="muted clip">{webhook.description}</div> : null}
      </div>
      {isPolled ? <span class="muted">reads its events itself</span> : <Sparkline deliveries={latest.value?.data} />}
      {isOff ? <Figure label="held" value={held.value && countOf(held.value)} isWaiting /> : <Figure label="delivered" value={typeof share === 'number' ? percent(share) : undefined} />}
      {isOff ? <span /> : <Figure label="median" value={typeof median === 'number' ? milliseconds(median) : undefined} />}
      <Status of={webhook.status} />
      {webhook.status === 'disabled' ? (
        <div class="why"><Icon name="warning" /><span><DisabledNote webhook={webhook} /> <LastFailure health={health.value} /> <HeldCount held={held.value} /></span></div>
      ) : null}
    </li>
  )
}

function Figure({ label, value, isWaiting }: { label: string; value: string | undefined; isWaiting?: boolean }) {
  return <span class={`number numbers ${isWaiting ? 'wait-text' : ''}`}>{value === undefined ? null : <>{value}<small>{label}</small></>}</span>
}

/** A page of a list is counted; more are said to be more. */
const countOf = (page: Page<Delivery>): string => `${page.data.length}${page.next_cursor ? '+' : ''}`

/** What the receiver answered last time that it failed. */
export function LastFailure({ health }: { health: WebhookHealth | undefined }) {
  const failure = health?.last_failure
  if (!failure) return null
  return <>Last failure: <a class="above" href={link('deliveries', failure.delivery_id)}>{failure.error ? failure.error.replaceAll('_', ' ') : failure.status_code}</a>.</>
}

/** How many events wait for a webhook, and how many have failed. A page of each list is counted; more are said to be more. */
export function HeldCount({ held, failed }: { held: Page<Delivery> | undefined; failed?: Page<Delivery> | undefined }) {
  const count = held?.data.length ?? 0
  const lost = failed?.data.filter((delivery) => !delivery.test).length ?? 0
  const more = (page: Page<Delivery> | undefined) => (page?.next_cursor ? ' or more' : '')
  if (count === 0 && lost === 0) return null
  return (
    <>
      {count ? <>{count}{more(held)} {count === 1 ? 'event is' : 'events are'} held for it{lost ? ', and ' : ''}</> : null}
      {lost ? <>{lost}{more(failed)} {count ? '' : lost === 1 ? 'delivery ' : 'deliveries '}{lost === 1 ? 'has' : 'have'} failed</> : null}.
    </>
  )
}

export function HealthFigures({ health }: { health: WebhookHealth }) {
  const { delivered_share: share, latency_ms: latency, attempts_per_delivery: attempts, last_failure: failure, last_success_at: success } = health
  const isOff = health.status === 'disabled'
  return (
    <dl class="figures">
      {isOff && success ? <div><dt>Last success</dt><dd><Time at={success} /></dd></div> : null}
      {typeof share === 'number' ? <div><dt>Delivered, of what ended</dt><dd>{percent(share)}</dd></div> : null}
      {typeof latency.p50 === 'number' ? <div><dt>Median</dt><dd>{milliseconds(latency.p50)}</dd></div> : null}
      {typeof latency.p95 === 'number' ? <div><dt>95th percentile</dt><dd>{milliseconds(latency.p95)}</dd></div> : null}
      {typeof attempts === 'number' ? <div><dt>Attempts per delivery</dt><dd>{attempts.toFixed(1)}</dd></div> : null}
      {success && !isOff ? <div><dt>Last success</dt><dd><Time at={success} /></dd></div> : null}
      {failure ? <div><dt>Last failure</dt><dd><a href={link('deliveries', failure.delivery_id)}><Time at={failure.at} /></a></dd></div> : null}
    </dl>
  )
}
