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

/** Rotates the secret: both sign during the overlap, which counts down. */
export function Rotation({ webhook, refused, changed }: { webhook: Webhook; refused: string | undefined; changed: (webhook: Webhook) => void }) {
  const [hours, setHours] = useState('24')
  const [rotated, setRotated] = useState<WebhookWithSecret>()
  const [hasEnded, setEnded] = useState(false)
  const until = Date.parse(webhook.overlap_ends_at ?? '') || 0
  const isOverlapping = useNow((now) => now < until)
  const { busy, problem, run } = useAction()
  const path = `/v1/webhooks/${webhook.id}/rotate-secret`
  const rotate = () =>
    run(async () => {
      setEnded(false)
      const { secret, standard_secret, ...after } = await post<WebhookWithSecret>(path, { overlap_seconds: Number.isFinite(Number(hours)) ? Math.round(Number(hours) * HOUR_S) : hours })
      setRotated({ ...after, secret, standard_secret })
      changed(after)
    })
  const finish = () =>
    run(async () => {
      changed(await post<Webhook>(`${path}/finish`))
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
        <Button onClick={() => void finish()} busy={busy} refused={refused ?? (isOverlapping ? undefined : 'No earlier secret signs.')}>End the overlap now</Button>
      </div>
      <div class="tested" role="status">
        {hasEnded && !isOverlapping ? <Note tone="good">Only the newest secret signs now.</Note> : <Countdown until={until} />}
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
