// The parts that every page is made of.
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Attempt, Problem, Webhook } from './api'
import { Icon, type IconName } from './icon'
import { exact, isSuccess, moment, outcome, short } from './text'

const TICK_MS = 1_000
const tickers = new Set<(now: number) => void>()
setInterval(() => {
  const now = Date.now()
  for (const tick of tickers) tick(now)
}, TICK_MS)

/** What `read` makes of the present moment. It is read every second, and the component is drawn again only if the result has changed. */
export function useNow<T extends string | number | boolean>(read: (now: number) => T): T {
  const latest = useRef(read)
  latest.current = read
  const [, setValue] = useState<T>()
  useEffect(() => {
    const tick = (now: number) => setValue(latest.current(now))
    tickers.add(tick)
    return () => void tickers.delete(tick)
  }, [])
  return read(Date.now())
}

/** A moment. With `inLog`, it is shown as a log of the receiver has it, however short it is ago. */
export function Time({ at, inLog }: { at: string; inLog?: boolean }) {
  const shown = useNow((now) => (inLog ? short(at, now) : moment(at, now)))
  return <time dateTime={at} title={exact(at)}>{shown}</time>
}

type ButtonProps = {
  children: ComponentChildren
  onClick?: (() => void) | undefined
  kind?: 'primary' | 'danger' | 'quiet'
  type?: 'button' | 'submit'
  icon?: IconName
  busy?: boolean
  /** Why it cannot be used. */
  refused?: string | undefined
}

/** A button that is refused stays in the order of Tab, so that everybody can find out why. */
export function Button({ children, onClick, kind, type = 'button', icon, busy, refused }: ButtonProps) {
  const isOff = Boolean(busy || refused)
  const click = (event: { preventDefault: () => void }) => {
    if (isOff) event.preventDefault()
    else onClick?.()
  }
  const why = useId()
  return (
    <button type={type} class={kind ?? ''} onClick={click} aria-disabled={isOff || undefined} aria-busy={busy || undefined} aria-describedby={refused ? why : undefined} title={refused}>
      {icon ? <Icon name={icon} /> : null}
      {children}
      {refused ? <span id={why} hidden>{refused}</span> : null}
    </button>
  )
}

const COPIED_MS = 2_000

export function CopyButton({ text, label = 'Copy', of }: { text: string; label?: string; of?: string }) {
  const [copied, setCopied] = useState(false)
  useEffect(() => {
    if (!copied) return
    const timer = setTimeout(() => setCopied(false), COPIED_MS)
    return () => clearTimeout(timer)
  }, [copied])
  const copy = () => navigator.clipboard?.writeText(text).then(() => setCopied(true), () => {})
  return (
    <button type="button" class="quiet copy" onClick={copy} aria-label={of && !copied ? `Copy ${of}` : undefined}>
      <Icon name={copied ? 'check' : 'copy'} />
      <span aria-live="polite">{copied ? 'Copied' : label}</span>
    </button>
  )
}

type Tone = 'good' | 'bad' | 'wait' | 'plain'

const MARKS: Record<string, [IconName, Tone]> = {
  enabled: ['check', 'good'],
  delivered: ['check', 'good'],
  done: ['check', 'good'],
  pending: ['clock', 'wait'],
  running: ['clock', 'wait'],
  held: ['pause', 'wait'],
  disabled: ['stop', 'bad'],
  failed: ['cross', 'bad'],
  stopped: ['stop', 'bad'],
  cancelled: ['dash', 'plain'],
}

export function Status({ of }: { of: string }) {
  const [icon, tone] = MARKS[of] ?? ['dash', 'plain']
  return <span class={`status ${tone}`}><Icon name={icon} size={12} />{of}</span>
}

/** A remark that stands out: what is the case, and why. */
export function Note({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  const icon: IconName = tone === 'good' ? 'check' : tone === 'plain' ? 'info' : 'warning'
  return <div class={`note ${tone}`}><Icon name={icon} /><div>{children}</div></div>
}

const REASONS: Record<string, string> = {
  failures: 'because its deliveries kept failing',
  gone: 'because the receiver answered 410 Gone',
  manual: 'by a person',
}

/** The next trial of a disabled webhook. */
function Trial({ at }: { at: string }) {
  const isDue = useNow((now) => Date.parse(at) <= now)
  return <>One of its events is tried again {isDue ? 'now' : <Time at={at} />}; if that succeeds, it is enabled by itself.</>
}

/** Since when and why a webhook is disabled, and when it is tried again. */
export function DisabledNote({ webhook }: { webhook: Webhook }) {
  if (webhook.status !== 'disabled') return null
  return (
    <>
      Disabled {REASONS[webhook.disabled_reason ?? ''] ?? ''}
      {webhook.disabled_at ? <>, since <Time at={webhook.disabled_at} inLog /></> : null}.{' '}
      {webhook.next_trial_at ? <Trial at={webhook.next_trial_at} /> : 'It stays disabled until somebody enables it.'}
    </>
  )
}

const TITLES: Record<number, string> = { 0: 'No connection', 403: 'Not allowed', 404: 'Not found', 409: 'Not possible now', 410: 'Expired', 422: 'Not accepted', 429: 'Too many requests' }

/** Answers that another try does not change. */
const FINAL = [403, 404, 410]

export function Failed({ problem, retry }: { problem: Problem; retry?: (() => void) | undefined }) {
  const isFinal = FINAL.includes(problem.status)
  return (
    <div class="note bad" role="alert">
      <Icon name="warning" />
      <div><strong>{TITLES[problem.status] ?? 'Something went wrong'}.</strong> {problem.message}</div>
      {retry && !isFinal ? <Button icon="retry" onClick={retry}>Try again</Button> : null}
    </div>
  )
}

/** A page that cannot be shown at all. */
export function NoPage({ problem, retry }: { problem: Problem; retry: () => void }) {
  return <><h1>{TITLES[problem.status] ?? 'Something went wrong'}</h1><Failed problem={problem} retry={retry} /></>
}

export function Skeleton({ lines = 3 }: { lines?: number }) {
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, index) => <span key={index} />)}
    </div>
  )
}

export function Empty({ title, icon = 'inbox', children }: { title: string; icon?: IconName; children: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} size={32} />
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

/** A dialog. The browser keeps the focus in it, closes it on Escape, and then gives the focus back to what had it. */
export function Dialog({ title, children, onClose }: { title: string; children: ComponentChildren; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  useLayoutEffect(() => {
    const shown = dialog.current
    shown?.showModal()
    return () => shown?.close()
  }, [])
  return (
    // A dialog that gives way to another one is closed too, and must not close that one.
    <dialog ref={dialog} aria-labelledby={id} onClose={() => { if (dialog.current) onClose() }}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  )
}

export function Outcome({ attempt }: { attempt: Attempt }) {
  const isGood = isSuccess(attempt)
  return <span class={`outcome ${isGood ? 'good-text' : 'bad-text'}`}><Icon name={isGood ? 'check' : 'cross'} size={12} />{outcome(attempt)}</span>
}
