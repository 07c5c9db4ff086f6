// The parts that every page is made of.
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import type { Attempt, Delivery, Problem, Webhook } from './api'
import { ago, exact, isSuccess, outcome } from './text'

const TICK_MS = 1_000

/** The present moment, again every second. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), TICK_MS)
    return () => clearInterval(timer)
  }, [])
  return now
}

export function Time({ at }: { at: string }) {
  return <time dateTime={at} title={exact(at)}>{ago(at, useNow())}</time>
}

type ButtonProps = {
  children: ComponentChildren
  onClick?: (() => void) | undefined
  kind?: 'primary' | 'danger' | 'quiet'
  type?: 'button' | 'submit'
  busy?: boolean
  /** Why it cannot be used. */
  refused?: string | undefined
}

export function Button({ children, onClick, kind, type = 'button', busy, refused }: ButtonProps) {
  return (
    <button type={type} class={kind ?? ''} onClick={onClick} disabled={Boolean(busy || refused)} title={refused} aria-busy={busy || undefined}>
      {children}
    </button>
  )
}

export function CopyButton({ text, label = 'Copy' }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false)
  useEffect(() => {
    if (!copied) return
    const timer = setTimeout(() => setCopied(false), 2_000)
    return () => clearTimeout(timer)
  }, [copied])
  const copy = () => navigator.clipboard?.writeText(text).then(() => setCopied(true), () => {})
  return (
    <button type="button" class="quiet copy" onClick={copy}>
      <span aria-live="polite">{copied ? 'Copied' : label}</span>
    </button>
  )
}

const MARKS: Record<string, [string, string]> = {
  enabled: ['●', 'good'],
  delivered: ['✓', 'good'],
  done: ['✓', 'good'],
  pending: ['…', 'wait'],
  running: ['…', 'wait'],
  held: ['⏸', 'wait'],
  disabled: ['■', 'bad'],
  failed: ['✕', 'bad'],
  stopped: ['■', 'bad'],
  cancelled: ['–', 'plain'],
}

export function Status({ of }: { of: string }) {
  const [mark, tone] = MARKS[of] ?? ['', 'plain']
  return (
    <span class={`status ${tone}`}>
      <span aria-hidden="true">{mark}</span> {of}
    </span>
  )
}

const REASONS: Record<string, string> = {
  failures: 'Disabled, because its deliveries kept failing.',
  gone: 'Disabled, because the receiver answered 410 Gone.',
  manual: 'Disabled by a person.',
}

/** Why a webhook is disabled, and when it is tried again. */
export function DisabledNote({ webhook }: { webhook: Webhook }) {
  if (webhook.status !== 'disabled') return null
  return (
    <>
      {REASONS[webhook.disabled_reason ?? ''] ?? 'Disabled.'}{' '}
      {webhook.next_trial_at ? <>It is tried again by itself <Time at={webhook.next_trial_at} />.</> : 'It stays disabled until it is enabled.'}
    </>
  )
}

export function Failed({ problem, retry }: { problem: Problem; retry?: (() => void) | undefined }) {
  const title = problem.status === 403 ? 'Not allowed' : problem.status === 404 ? 'Not found' : 'Something went wrong'
  return (
    <div class="note bad" role="alert">
      <strong>{title}.</strong> {problem.message}
      {retry && problem.status !== 403 && problem.status !== 404 ? <Button kind="quiet" onClick={retry}>Try again</Button> : null}
    </div>
  )
}

export function Skeleton({ lines = 3 }: { lines?: number }) {
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, index) => <span key={index} />)}
    </div>
  )
}

export function Empty({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      <div>{children}</div>
    </div>
  )
}

type FieldProps = {
  label: string
  hint?: ComponentChildren
  fault?: string | undefined
  children: (attributes: { id: string; 'aria-describedby': string | undefined; 'aria-invalid': boolean | undefined }) => JSX.Element
}

/** A labelled input with its hint, and what the API has against its value. */
export function Field({ label, hint, fault, children }: FieldProps) {
  const id = useId()
  const described = [hint ? `${id}-hint` : '', fault ? `${id}-fault` : ''].filter(Boolean).join(' ') || undefined
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, 'aria-describedby': described, 'aria-invalid': fault ? true : undefined })}
      {hint ? <p class="hint" id={`${id}-hint`}>{hint}</p> : null}
      {fault ? <p class="fault" id={`${id}-fault`}>{fault}</p> : null}
    </div>
  )
}

/** A dialog. The browser keeps the focus in it, and closes it on Escape. */
export function Dialog({ title, children, onClose }: { title: string; children: ComponentChildren; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const shown = dialog.current
    shown?.showModal()
    return () => shown?.close()
  }, [])
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose} onCancel={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  )
}

/** The outcomes of the latest deliveries, oldest first: one bar each, as high as its latest attempt took. */
export function Sparkline({ deliveries }: { deliveries: Delivery[] }) {
  const bars = deliveries.filter((delivery) => delivery.attempts.length > 0).reverse()
  if (bars.length === 0) return <span class="muted">no deliveries yet</span>
  const last = (delivery: Delivery): Attempt => delivery.attempts[delivery.attempts.length - 1] as Attempt
  const longest = Math.max(...bars.map((delivery) => last(delivery).duration_ms), 1)
  const failed = bars.filter((delivery) => !isSuccess(last(delivery))).length
  const label = `Latest ${bars.length} deliveries: ${bars.length - failed} accepted, ${failed} not`
  return (
    <svg class="spark" role="img" aria-label={label} viewBox={`0 0 ${bars.length * 5} 24`} width={bars.length * 5} height="24">
      <title>{label}</title>
      {bars.map((delivery, index) => {
        const attempt = last(delivery)
        const height = 4 + 20 * Math.sqrt(attempt.duration_ms / longest)
        return <rect key={delivery.id} class={isSuccess(attempt) ? 'good' : 'bad'} x={index * 5} y={24 - height} width="3.5" height={height} rx="1" />
      })}
    </svg>
  )
}

export function Outcome({ attempt }: { attempt: Attempt }) {
  return <span class={isSuccess(attempt) ? 'good-text' : 'bad-text'}>{outcome(attempt)}</span>
}

/** The most characters of a text that are shown before the reader asks for more. */
const SHOWN_MAX = 4_000

/** A text from outside, shown as it is. */
export function Raw({ text, label }: { text: string; label: string }) {
  const [whole, setWhole] = useState(false)
  const isCut = !whole && text.length > SHOWN_MAX
  return (
    <div class="raw">
      <div class="raw-bar">
        <span class="muted">{label}</span>
        <CopyButton text={text} />
      </div>
      <pre tabIndex={0} aria-label={label}>{isCut ? text.slice(0, SHOWN_MAX) : text}</pre>
      {isCut ? <Button kind="quiet" onClick={() => setWhole(true)}>Show all {text.length.toLocaleString('en')} characters</Button> : null}
    </div>
  )
}
