// Recovering: sends what was not delivered in a window again.
import { useEffect, useState } from 'preact/hooks'
import { type Delivery, type Page, type Recovery, type Webhook, get, post, query } from '../api'
import { type Window, WindowChart } from '../charts/window_chart'
import { useAction, useApi } from '../data'
import { link } from '../route'
import { exact } from '../text'
import { Button, Dialog, Failed, Field, Note, Skeleton, Status, Time } from '../ui'

const LIVE_MS = 2_000
/** What was lost takes several requests to read. */
const LOST_LIVE_MS = 10_000
/** Pages of each state that are counted. More would keep the reader waiting; the preview says "at least". */
const PAGES_MAX = 10
const DAY_MS = 24 * 60 * 60_000

/** What was not delivered, and of which states there is more than was read. */
type Lost = { deliveries: Delivery[]; more: string[] }

/** As an input of the browser has it, in local time. */
const local = (time: number): string => new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
/** The moment that an input of the browser has, or undefined while it is not complete. */
const moment = (text: string): number | undefined => (text === '' || Number.isNaN(Date.parse(text)) ? undefined : Date.parse(text))

/** Reads the failed or the held deliveries. Tests are left out: a recovery does not send them. */
async function lostOf(path: string, status: string): Promise<Lost> {
  const deliveries: Delivery[] = []
  let cursor: string | null | undefined
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer: Page<Delivery> = await get(query(path, { status, limit: 100, cursor }))
    deliveries.push(...answer.data.filter((delivery) => !delivery.test))
    cursor = answer.next_cursor
    if (!cursor) return { deliveries, more: [] }
  }
  return { deliveries, more: [status] }
}

function useLost(id: string, round: string) {
  const [lost, setLost] = useState<Lost>()
  const { problem, run } = useAction()
  const read = () =>
    run(async () => {
      const path = `/v1/webhooks/${id}/deliveries`
      const [failed, held] = await Promise.all([lostOf(path, 'failed'), lostOf(path, 'held')])
      setLost({ deliveries: [...failed.deliveries, ...held.deliveries], more: [...failed.more, ...held.more] })
    })
  useEffect(() => {
    void read()
    const timer = setInterval(() => { if (!document.hidden) void read() }, LOST_LIVE_MS)
    return () => clearInterval(timer)
  }, [id, round])
  return { lost, problem, reload: read }
}

export function Recover({ webhook, refused, enable }: { webhook: Webhook; refused: string | undefined; enable: () => void }) {
  const path = `/v1/webhooks/${webhook.id}`
  const recoveries = useApi<Page<Recovery>>(`${path}/recoveries?limit=10`, LIVE_MS)
  const pending = useApi<Page<Delivery>>(`${path}/deliveries?status=pending&limit=100`, LOST_LIVE_MS)
  const isRunning = recoveries.value?.data.some((recovery) => recovery.status === 'running')
  const progress = (recoveries.value?.data ?? []).map((recovery) => `${recovery.id} ${recovery.status}`).join()
  const { lost, problem, reload } = useLost(webhook.id, `${progress} ${webhook.status}`)
  const [since, setSince] = useState('')
  const [until, setUntil] = useState('')
  const [includeFailed, setIncludeFailed] = useState(true)
  const [isAsked, setAsked] = useState(false)
  const action = useAction()
  const from = moment(since)
  const to = moment(until)
  const window: Window | undefined = from === undefined && to === undefined ? undefined : { from: from ?? 0, to: to ?? Infinity }
  const chosen = (lost?.deliveries ?? []).filter((delivery) => {
    const at = Date.parse(delivery.created_at)
    return (!window || (at >= window.from && at <= window.to)) && (includeFailed || delivery.status === 'held')
  })
  const choose = (window: Window | undefined) => {
    setSince(window ? local(window.from) : '')
    setUntil(window ? local(window.to) : '')
  }
  const begin = () =>
    action.run(async () => {
      const ends = { ...(from === undefined ? {} : { since: new Date(from).toISOString() }), ...(to === undefined ? {} : { until: new Date(to).toISOString() }) }
      try {
        await post(`${path}/recover`, { include_failed: includeFailed, ...ends })
        recoveries.reload()
      } finally {
        setAsked(false)
      }
    })
  const isOff = webhook.status === 'disabled'
  const counts = ['held', ...(includeFailed ? ['failed'] : [])].map((status) => counted(lost, chosen, status))
  const count = `at least ${chosen.length.toLocaleString('en')} ${chosen.length === 1 ? 'event' : 'events'}: ${counts.join(', ')}`
  return (
    <>
      {isOff ? <EnableFirst lost={lost} refused={refused} enable={enable} /> : null}
      <h2>What was not delivered</h2>
      {problem ? <Failed problem={problem} retry={() => void reload()} /> : null}
      {lost?.more.length ? <Note tone="wait">Only the newest that are {lost.more.join(' or ')} were read. There may be older ones, which a recovery sends too.</Note> : null}
      {lost === undefined ? (problem ? null : <Skeleton lines={5} />) : lost.deliveries.length === 0 ? (lost.more.length ? null : <p class="muted">Nothing has failed, and nothing is held. {pendingOf(pending.value)}</p>) : <WindowChart lost={lost.deliveries} window={window} choose={choose} />}
      {isOff ? null : <section>
        <h2>Send it again</h2>
        <p class="muted">Everything since the webhook was added, or what was published between two moments.</p>
        <div class="row end">
          <Field label="From" fault={action.problem?.at('/since')}>{(attributes) => <input {...attributes} type="datetime-local" step="1" size={20} value={since} onInput={(event) => setSince(event.currentTarget.value)} />}</Field>
          <Field label="Until" fault={action.problem?.at('/until')}>{(attributes) => <input {...attributes} type="datetime-local" step="1" size={20} value={until} onInput={(event) => setUntil(event.currentTarget.value)} />}</Field>
          <Button onClick={() => choose({ from: Date.now() - DAY_MS, to: Date.now() })}>Last 24 hours</Button>
          {window ? <Button kind="quiet" onClick={() => choose(undefined)}>Clear</Button> : null}
        </div>
        <label class="check apart"><input type="checkbox" checked={includeFailed} onChange={(event) => setIncludeFailed(event.currentTarget.checked)} /><span>Failed deliveries too, not only held ones</span></label>
        {action.problem ? <Failed problem={action.problem} /> : null}
        <div class="row">
          <Button kind="primary" icon="retry" refused={refused} onClick={() => setAsked(true)}>Recover</Button>
          <span aria-live="polite">{isRunning ? 'A recovery is running.' : lost ? `Sends ${count}.` : null}</span>
        </div>
        <p class="hint">It also sends events that no delivery was begun for, and pending ones that are long overdue, if there are any.</p>
      </section>}
      {isAsked ? (
        <Dialog title="Send this again?" onClose={() => setAsked(false)}>
          {isRunning ? <p>Another recovery is still running. Both find what is not delivered, and neither sends what the other has just sent.</p> : null}
          <p>This sends {count}, oldest first. A receiver may get one that it has already processed: it notices by <code>webhook-id</code>.</p>
          <div class="row"><Button onClick={() => setAsked(false)}>Do not send</Button><Button kind="primary" busy={action.busy} onClick={() => void begin()}>Send</Button></div>
        </Dialog>
      ) : null}
      <section>
        <h2>Recoveries</h2>
        {recoveries.problem ? <Failed problem={recoveries.problem} retry={recoveries.reload} /> : null}
        {recoveries.value === undefined ? (recoveries.problem ? null : <Skeleton />) : recoveries.value.data.length === 0 ? <p class="muted">None yet.</p> : (
          <ul class="rows" aria-live="polite">{recoveries.value.data.map((recovery) => <RecoveryItem key={recovery.id} recovery={recovery} />)}</ul>
        )}
      </section>
    </>
  )
}

/** What is still under way, in words. */
function pendingOf(pending: Page<Delivery> | undefined): string {
  if (!pending) return ''
  const count = pending.data.length
  if (count === 0) return pending.next_cursor ? '' : 'Nothing is pending either.'
  return `${count}${pending.next_cursor ? ' or more' : ''} ${count === 1 ? 'is' : 'are'} still pending.`
}

/** How many of the `chosen` deliveries have a status, as far as was read. */
function counted(lost: Lost | undefined, chosen: Delivery[], status: string): string {
  const count = chosen.filter((delivery) => delivery.status === status).length
  return `${count.toLocaleString('en')}${lost?.more.includes(status) ? ' or more' : ''} ${status}`
}

/** What to do while the webhook is disabled, in its order. */
function EnableFirst({ lost, refused, enable }: { lost: Lost | undefined; refused: string | undefined; enable: () => void }) {
  const has = (status: string) => lost?.more.includes(status) || lost?.deliveries.some((delivery) => delivery.status === status)
  const count = (status: string) => counted(lost, lost?.deliveries ?? [], status)
  return (
    <div class="note plain steps">
      <ol>
        <li>Make sure that your receiver works again.</li>
        <li>Enable the webhook. {has('held') ? `It then gets what is held, oldest first: ${count('held')}.` : lost ? 'Nothing is held for it.' : null}</li>
        {has('failed') ? <li>Come back here, and send again what had failed before it was disabled: {count('failed')}.</li> : null}
      </ol>
      <Button kind="primary" refused={refused} onClick={enable}>Enable…</Button>
    </div>
  )
}

function RecoveryItem({ recovery }: { recovery: Recovery }) {
  const isRunning = recovery.status === 'running'
  return (
    <li class="recovery">
      <Status of={recovery.status} />
      <div>
        <div><strong class="numbers">{recovery.sent.toLocaleString('en')}</strong> {isRunning ? 'enqueued so far' : 'enqueued'}; <a href={link('webhooks', recovery.webhook_id, 'deliveries')}>see what becomes of them</a></div>
        <div class="muted small">{exact(recovery.since)} to {exact(recovery.until)}{recovery.include_failed ? '' : ', without failed ones'}; <span class="numbers">{recovery.looked_at.toLocaleString('en')}</span> events of the account were looked at</div>
        {isRunning ? <progress aria-label="The recovery is running" /> : null}
      </div>
      <span class="muted"><Time at={recovery.started_at} /></span>
    </li>
  )
}
