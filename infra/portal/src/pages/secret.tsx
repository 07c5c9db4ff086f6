// The signing secret: shown once, and rotated.
import { useState } from 'preact/hooks'
import { type Webhook, type WebhookWithSecret, post } from '../api'
import { useAction } from '../data'
import { Button, CopyButton, Dialog, Failed, Field, useNow } from '../ui'

export function SecretDialog({ secret, onClose }: { secret: string; onClose: () => void }) {
  return (
    <Dialog title="The signing secret" onClose={onClose}>
      <p>Your receiver verifies requests with it. It is shown this once: keep it where the receiver can read it.</p>
      <p class="secret"><code>{secret}</code> <CopyButton text={secret} /></p>
      <form method="dialog"><button type="submit" class="primary">I have kept it</button></form>
    </Dialog>
  )
}

const HOUR_S = 3_600

/** Rotates the secret: both sign during the overlap, which counts down. */
export function Rotation({ webhook, refused }: { webhook: Webhook; refused: string | undefined }) {
  const [hours, setHours] = useState('24')
  const [rotated, setRotated] = useState<{ secret: string; until: number }>()
  const [shown, setShown] = useState(false)
  const { busy, problem, run } = useAction()
  const now = useNow()
  const path = `/v1/webhooks/${webhook.id}/rotate-secret`
  const rotate = () =>
    run(async () => {
      const overlap = Math.round(Number(hours) * HOUR_S)
      const answer = await post<WebhookWithSecret>(path, { overlap_seconds: overlap })
      setRotated({ secret: answer.secret, until: Date.now() + overlap * 1000 })
      setShown(true)
    })
  const finish = () => run(async () => { await post(`${path}/finish`); setRotated(undefined) })
  const left = rotated ? Math.max(0, Math.round((rotated.until - now) / 1000)) : 0
  const clock = [Math.floor(left / HOUR_S), Math.floor((left % HOUR_S) / 60), left % 60].map((part) => String(part).padStart(2, '0')).join(':')
  return (
    <section>
      <h2>Signing secret</h2>
      <p class="muted">A rotation makes a new secret. During the overlap, requests carry a signature by the old one too.</p>
      <div class="row end">
        <Field label="Overlap in hours" fault={problem?.at('/overlap_seconds')}>
          {(attributes) => <input {...attributes} inputMode="decimal" size={6} value={hours} onInput={(event) => setHours(event.currentTarget.value)} />}
        </Field>
        <Button onClick={() => void rotate()} busy={busy} refused={refused}>Rotate the secret</Button>
        <Button kind="quiet" onClick={() => void finish()} busy={busy} refused={refused}>End the overlap now</Button>
      </div>
      {rotated && left > 0 ? <p role="timer">The old secret still signs for <span class="numbers">{clock}</span>.</p> : null}
      {problem ? <Failed problem={problem} /> : null}
      {rotated && shown ? <SecretDialog secret={rotated.secret} onClose={() => setShown(false)} /> : null}
    </section>
  )
}
