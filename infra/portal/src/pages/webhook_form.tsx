// The settings of a webhook as a form. Each fault that the API finds is shown at its field.
import { useEffect, useRef, useState } from 'preact/hooks'
import { Problem, type Webhook } from '../api'
import { useSession } from '../context'
import { useAction } from '../data'
import { AuthField } from '../form/auth_field'
import { type Draft, bodyOf, draftOf } from '../form/draft'
import { EventsField } from '../form/events_field'
import { FilterField } from '../form/filter_field'
import { HeadersField } from '../form/headers_field'
import { SignatureField } from '../form/signature_field'
import { Button, Failed, Field, Note } from '../ui'

type Properties = {
  webhook?: Webhook
  refused?: string | undefined
  label: string
  isSaved?: boolean
  save: (body: Record<string, unknown>) => Promise<void>
}

type TextName = 'url' | 'description' | 'secret' | 'retry_schedule' | 'timeout_seconds' | 'rate_limit'

export function WebhookForm({ webhook, refused, label, isSaved, save }: Properties) {
  const [before] = useState(() => draftOf(webhook))
  const [draft, setDraft] = useState(before)
  const { busy, problem, run } = useAction()
  const form = useRef<HTMLFormElement>(null)
  const isPolled = draft.delivery === 'poll'
  const isBound = Boolean(useSession().webhook_id)
  const change = (members: Partial<Draft>) => setDraft((present) => ({ ...present, ...members }))
  const fault = (name: string) => problem?.at(`/${name}`)
  const isChanged = JSON.stringify(draft) !== JSON.stringify(before)
  const submit = () => run(() => save(bodyOf(draft, before, !webhook)))
  useEffect(() => {
    // The first field with a fault, so that nobody has to look for it.
    const first = problem ? form.current?.querySelector<HTMLElement>('[aria-invalid]') : undefined
    first?.focus()
    first?.scrollIntoView({ block: 'center' })
  }, [problem])
  const text = (name: TextName, label: string, hint?: string, attributes: Record<string, string> = {}) => (
    <Field label={label} fault={fault(name)} hint={hint}>
      {(own) => <input {...own} autocomplete="off" spellcheck={false} {...attributes} value={draft[name]} onInput={(event) => change({ [name]: event.currentTarget.value })} />}
    </Field>
  )
  return (
    <form ref={form} noValidate onSubmit={(event) => { event.preventDefault(); if (!refused && !busy) void submit() }}>
      {webhook ? null : (
        <fieldset>
          <legend>How events arrive</legend>
          <label class="check"><input type="radio" name="delivery" checked={!isPolled} onChange={() => change({ delivery: 'push' })} /><span>Hookline sends them to a URL</span></label>
          <label class="check"><input type="radio" name="delivery" checked={isPolled} onChange={() => change({ delivery: 'poll' })} /><span>A client asks for them <span class="muted">(for programs that no request reaches)</span></span></label>
        </fieldset>
      )}
      {isPolled ? null : text('url', 'URL', undefined, { type: 'url', placeholder: 'https://your-app.com/webhooks' })}
      {isBound ? <Fixed draft={draft} /> : <EventsField events={draft.events} fault={fault('events')} change={(events) => change({ events })} />}
      {text('description', 'Description', undefined, { placeholder: 'What it is for' })}
      {isBound ? null : <FilterField text={draft.filter} events={draft.events} fault={fault('filter')} change={(filter) => change({ filter })} />}
      {webhook ? null : text('secret', 'Signing secret', 'Empty makes a new one, which you see once.', { type: 'password' })}
      {isPolled ? null : (
        <div class="group-of-fields">
          <h2>Delivery</h2>
          {text('retry_schedule', 'Retry schedule', 'The wait before each attempt, separated by commas, such as 0s, 1m, 5m, 1h. Empty leaves it to the service.')}
          <div class="two">
            {text('timeout_seconds', 'Timeout in seconds', 'An attempt without an answer by then has failed.', { inputmode: 'numeric', placeholder: '5' })}
            {text('rate_limit', 'Deliveries a second, at most', 'Empty means no limit.', { inputmode: 'numeric' })}
          </div>
          <Field label="Failures that disable it" fault={fault('disable_on')}>
            {(attributes) => (
              <select {...attributes} value={draft.disable_on} onChange={(event) => change({ disable_on: event.currentTarget.value as Draft['disable_on'] })}>
                <option value="failed_delivery">A delivery whose last attempt has failed</option>
                <option value="no_success">The same, unless another delivery has succeeded meanwhile</option>
              </select>
            )}
          </Field>
          <label class="check">
            <input type="checkbox" checked={draft.auto_recover} onChange={(event) => change({ auto_recover: event.currentTarget.checked })} />
            <span>After failures have disabled it, try it again by itself for seven days</span>
          </label>
          {fault('auto_recover') ? <p class="fault">{fault('auto_recover')}</p> : null}
        </div>
      )}
      <div class="group-of-fields">
        <h2>What requests carry</h2>
        {isPolled ? null : <HeadersField pairs={draft.headers} fault={fault('headers')} change={(headers) => change({ headers })} />}
        {isPolled ? null : <AuthField auth={draft.auth} problem={problem} change={(auth) => change({ auth })} />}
        <SignatureField signature={draft.signature_header} problem={problem} change={(signature_header) => change({ signature_header })} />
      </div>
      <div class="save">
        <Button type="submit" kind="primary" busy={busy} refused={refused ?? (webhook && !isChanged ? 'Nothing has changed.' : undefined)}>{label}</Button>
        {problem ? <Failed problem={summaryOf(problem)} /> : isSaved && !isChanged ? <Note tone="good"><span role="status">Saved.</span></Note> : null}
      </div>
    </form>
  )
}

/** Which events the webhook gets, for a link that cannot change it. */
function Fixed({ draft }: { draft: Draft }) {
  return (
    <div class="field">
      <span class="label">Events</span>
      <div class="chips">{draft.events.map((event) => <code key={event} class="chip">{event}</code>)}</div>
      {draft.filter.trim() ? <pre tabIndex={0} role="region" aria-label="Filter">{draft.filter}</pre> : null}
      <p class="hint">A link to one webhook cannot change which events that webhook gets.</p>
    </div>
  )
}

/** The members that have a field, at which their faults are shown. */
const FIELDS = ['url', 'events', 'description', 'secret', 'filter', 'retry_schedule', 'timeout_seconds', 'rate_limit', 'disable_on', 'auto_recover', 'headers', 'auth', 'signature_header']

/** What is said beside the button: where to look, or what has no field. */
function summaryOf(problem: Problem): Problem {
  const elsewhere = problem.faults.filter((fault) => !FIELDS.includes(fault.pointer.split('/')[1] ?? ''))
  if (problem.faults.length === 0) return problem
  if (elsewhere.length === 0) return new Problem(problem.status, 'Look at the fields that are marked.')
  return new Problem(problem.status, elsewhere.map((fault) => fault.detail).join('; '))
}
