// Recovering: sends what was not delivered in a window again.
import { useState } from 'preact/hooks'
import { type Delivery, type Page, type Recovery, type Webhook, post } from '../api'
import { useAction, useApi } from '../data'
import { exact } from '../text'
import { Button, Failed, Field, Skeleton, Status, Time } from '../ui'

const LIVE_MS = 2_000
const PAGE = 100
const BARS = 48

/** As an input of the browser has it, in local time. */
const local = (time: number): string => new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 16)

export function Recover({ webhook, refused }: { webhook: Webhook; refused: string | undefined }) {
  const path = `/v1/webhooks/${webhook.id}`
  const failed = useApi<Page<Delivery>>(`${path}/deliveries?status=failed&limit=${PAGE}`)
  const held = useApi<Page<Delivery>>(`${path}/deliveries?status=held&limit=${PAGE}`)
  const recoveries = useApi<Page<Recovery>>(`${path}/recoveries?limit=5`, LIVE_MS)
  const [since, setSince] = useState('')
  const [until, setUntil] = useState('')
  const [includeFailed, setIncludeFailed] = useState(true)
  const action = useAction()
  const lost = [...(failed.value?.data ?? []), ...(held.value?.data ?? [])].sort((one, other) => Date.parse(one.created_at) - Date.parse(other.created_at))
  const from = since ? Date.parse(since) : 0
  const to = until ? Date.parse(until) : Infinity
  const chosen = lost.filter((delivery) => {
    const at = Date.parse(delivery.created_at)
    return at >= from && at <= to && (includeFailed || delivery.status === 'held')
  })
  const hasMore = Boolean(failed.value?.next_cursor || held.value?.next_cursor)
  const begin = () =>
    action.run(async () => {
      const body = { include_failed: includeFailed, ...(since ? { since: new Date(since).toISOString() } : {}), ...(until ? { until: new Date(until).toISOString() } : {}) }
      await post(`${path}/recover`, body)
      recoveries.reload()
    })
  const off = webhook.status === 'disabled' ? 'Enable the webhook first.' : webhook.delivery === 'poll' ? 'Its events are polled.' : undefined
  return (
    <>
      <h2>Send again what was not delivered</h2>
      {failed.problem ? <Failed problem={failed.problem} retry={failed.reload} /> : null}
      {failed.value && held.value ? (lost.length === 0 ? <p class="muted">Nothing has failed, and nothing is held.</p> : <LostChart lost={lost} from={from} to={to} choose={(start, end) => { setSince(local(start)); setUntil(local(end)) }} />) : failed.problem ? null : <Skeleton />}
      <div class="row end">
        <Field label="From" fault={action.problem?.at('/since')}>{(attributes) => <input {...attributes} type="datetime-local" value={since} onInput={(event) => setSince(event.currentTarget.value)} />}</Field>
        <Field label="Until" fault={action.problem?.at('/until')}>{(attributes) => <input {...attributes} type="datetime-local" value={until} onInput={(event) => setUntil(event.currentTarget.value)} />}</Field>
        <label class="check"><input type="checkbox" checked={includeFailed} onChange={(event) => setIncludeFailed(event.currentTarget.checked)} /> also those that have failed</label>
      </div>
      <p aria-live="polite">{failed.value && held.value ? `At least ${chosen.length} deliveries${hasMore ? '; older ones are not counted here' : ''}.` : ''} Without times: everything that is kept.</p>
      {action.problem ? <Failed problem={action.problem} /> : null}
      <p><Button kind="primary" busy={action.busy} refused={refused ?? off} onClick={() => void begin()}>Send them again</Button></p>
      <h2>Recoveries</h2>
      {recoveries.value === undefined ? <Skeleton /> : recoveries.value.data.length === 0 ? <p class="muted">None yet.</p> : (
        <ul class="plain lines">
          {recoveries.value.data.map((recovery) => (
            <li key={recovery.id} class="recovery">
              <Status of={recovery.status} /> <span>{recovery.sent} of {recovery.looked_at} events sent</span>
              <span class="muted" title={`${exact(recovery.since)} to ${exact(recovery.until)}`}>begun <Time at={recovery.started_at} /></span>
            </li>
          ))}
        </ul>
      )}
    </>
  )
}

/** What has failed and what is held, over time. A click on a bar chooses its time; Shift extends the choice. */
function LostChart({ lost, from, to, choose }: { lost: Delivery[]; from: number; to: number; choose: (start: number, end: number) => void }) {
  const times = lost.map((delivery) => Date.parse(delivery.created_at))
  const first = times[0] ?? 0
  const width = Math.max(60_000, Math.ceil(((times[times.length - 1] ?? 0) - first + 1) / BARS / 60_000) * 60_000)
  const start = Math.floor(first / 60_000) * 60_000
  const bars = Array.from({ length: BARS }, () => ({ failed: 0, held: 0 }))
  lost.forEach((delivery, index) => {
    const bar = bars[Math.min(BARS - 1, Math.floor(((times[index] ?? 0) - start) / width))]
    if (bar) bar[delivery.status === 'held' ? 'held' : 'failed'] += 1
  })
  const highest = Math.max(...bars.map((bar) => bar.failed + bar.held), 1)
  const pick = (index: number, extend: boolean) => {
    const [begin, end] = [start + index * width, start + (index + 1) * width]
    if (extend && from > 0 && to < Infinity) choose(Math.min(from, begin), Math.max(to, end))
    else choose(begin, end)
  }
  return (
    <figure class="chart">
      <figcaption>Not delivered, by time of publication <span class="bad-text">■ failed</span> <span class="wait-text">■ held</span> <span class="muted">Choose a bar; Shift extends the window.</span></figcaption>
      <div class="bars">
        {bars.map((bar, index) => {
          const [begin, end] = [start + index * width, start + (index + 1) * width]
          const count = bar.failed + bar.held
          if (count === 0) return <span key={index} class="bar" />
          return (
            <button key={index} type="button" class="bar" aria-pressed={begin >= from && end <= to && to < Infinity} aria-label={`${exact(new Date(begin).toISOString())}: ${bar.failed} failed, ${bar.held} held`} onClick={(event) => pick(index, event.shiftKey)}>
              <span class="bad-fill" style={{ height: `${(bar.failed / highest) * 100}%` }} />
              <span class="wait-fill" style={{ height: `${(bar.held / highest) * 100}%` }} />
            </button>
          )
        })}
      </div>
      <div class="row muted small"><span>{exact(new Date(start).toISOString())}</span><span class="push">{exact(new Date(start + BARS * width).toISOString())}</span></div>
    </figure>
  )
}
