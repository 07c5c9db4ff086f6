// The signing secret: shown once, and rotated.
import { useState } from 'preact/hooks'
import { type Webhook, type WebhookWithSecret, post } from '../api'
import { useAction } from '../data'
import { Button, CopyButton, Dialog, Failed, Field, Note, useNow } from '../ui'

export function SecretDialog({ webhook, onClose }: { webhook: WebhookWithSecret; onClose: () => void }) {
  const { secret, standard_secret: standard } = webhook
  return (
    <Dialog title="The signing secret" onClose={onClose}>
      <p>Your receiver verifies requests with it. It is shown this once: keep it where the receiver can read it.</p>
      <p class="secret"><code>{secret}</code><CopyButton text={secret} of="the secret" /></p>
      {standard === secret ? null : <><p>For libraries of Standard Webhooks:</p><p class="secret"><code>{standard}</code><CopyButton text={standard} of="the secret for libraries" /></p></>}
      <div class="row"><Button kind="primary" onClick={onClose}>I have kept it</Button></div>
    </Dialog>
  )
}

const HOUR_S = 3_600
const HOUR_MS = HOUR_S * 1000

/** Rotates the secret: both sign during the overlap, which counts down. */
export function Rotation({ webhook, refused }: { webhook: Webhook; refused: string | undefined }) {
  const [hours, setHours] = useState('24')
  const [rotated, setRotated] = useState<WebhookWithSecret>()
  const [until, setUntil] = useState(() => overlapOf(webhook.id))
  const [hasEnded, setEnded] = useState(false)
  const { busy, problem, run } = useAction()
  const path = `/v1/webhooks/${webhook.id}/rotate-secret`
  const keep = (end: number) => {
    keepOverlap(webhook.id, end)
    setUntil(end)
  }
  const rotate = () =>
    run(async () => {
      setEnded(false)
      const overlap = Math.round(Number(hours) * HOUR_S)
      setRotated(await post<WebhookWithSecret>(path, { overlap_seconds: overlap }))
      keep(Date.now() + overlap * 1000)
    })
  const finish = () =>
    run(async () => {
      await post(`${path}/finish`)
      keep(0)
      setEnded(true)
    })
  return (
    <section class="group-of-fields">
      <h2>Signing secret</h2>
      <p class="muted">A rotation makes a new secret. During the overlap, requests carry a signature by the old one too, so that no request is lost while your receivers change.</p>
      <div class="row end">
        <Field label="Overlap in hours" fault={problem?.at('/overlap_seconds')}>
          {(attributes) => <input {...attributes} inputMode="decimal" size={6} value={hours} onInput={(event) => setHours(event.currentTarget.value)} />}
        </Field>
        <Button onClick={() => void rotate()} busy={busy} refused={refused}>Rotate the secret</Button>
        <Button onClick={() => void finish()} busy={busy} refused={refused}>End the overlap now</Button>
      </div>
      <div class="tested" role="status">
        {hasEnded ? <Note tone="good">Only the newest secret signs now.</Note> : <Countdown until={until} />}
      </div>
      {problem && !problem.at('/overlap_seconds') ? <Failed problem={problem} /> : null}
      {rotated ? <SecretDialog webhook={rotated} onClose={() => setRotated(undefined)} /> : null}
    </section>
  )
}

function Countdown({ until }: { until: number }) {
  const left = useNow((now) => {
    const seconds = Math.max(0, Math.round((until - now) / 1000))
    return seconds === 0 ? '' : [Math.floor(seconds / HOUR_S), Math.floor((seconds % HOUR_S) / 60), seconds % 60].map((part) => String(part).padStart(2, '0')).join(':')
  })
  // A screen reader would read a clock again every second.
  return left ? <Note tone="wait"><span aria-live="off">The old secret still signs for <span class="numbers">{left}</span>.</span></Note> : null
}

const KEY = 'hookline-overlaps'

/** When the overlap ends that this tab has begun. The API does not tell it. */
function overlapOf(webhook: string): number {
  const end = overlaps()[webhook] ?? 0
  return end - Date.now() > 7 * 24 * HOUR_MS ? 0 : end
}

function overlaps(): Record<string, number> {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? '{}') as Record<string, number>
  } catch {
    return {}
  }
}

function keepOverlap(webhook: string, end: number): void {
  sessionStorage.setItem(KEY, JSON.stringify({ ...overlaps(), [webhook]: end }))
}
