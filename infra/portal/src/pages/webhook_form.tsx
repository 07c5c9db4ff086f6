// The settings of a webhook as a form. Each fault that the API finds is shown at its field.
import { useState } from 'preact/hooks'
import { type EventType, type FilterTest, type Page, Problem, type Webhook, post } from '../api'
import { useAction, useApi } from '../data'
import { Button, Failed, Field } from '../ui'
import { useEffect } from 'preact/hooks'

type Text = Record<'url' | 'description' | 'filter' | 'headers' | 'rate_limit' | 'timeout_seconds' | 'retry_schedule' | 'auth' | 'signature_header', string>

const json = (value: unknown): string => (value === null || value === undefined ? '' : JSON.stringify(value, null, 2))

function textOf(webhook: Webhook | undefined): Text {
  return {
    url: webhook?.url ?? '',
    description: webhook?.description ?? '',
    filter: json(webhook?.filter),
    headers: json(webhook?.headers),
    auth: json(webhook?.auth),
    signature_header: json(webhook?.signature_header),
    rate_limit: webhook?.rate_limit?.toString() ?? '',
    timeout_seconds: webhook?.timeout_seconds?.toString() ?? '',
    retry_schedule: webhook?.retry_schedule?.join(', ') ?? '',
  }
}

/** Reads a field of JSON. A text that is no JSON is a fault of its field. */
function parsed(pointer: string, text: string): unknown {
  if (text.trim() === '') return null
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new Problem(422, 'Some fields need another value.', [{ pointer: `#${pointer}`, detail: `is not JSON: ${(error as Error).message}` }])
  }
}

const number = (text: string): number | null => (text.trim() === '' ? null : Number(text))

type Properties = { webhook?: Webhook; refused?: string | undefined; label: string; save: (body: Record<string, unknown>) => Promise<void> }

export function WebhookForm({ webhook, refused, label, save }: Properties) {
  const [text, setText] = useState(() => textOf(webhook))
  const [events, setEvents] = useState<string[]>(webhook?.events ?? [])
  const [autoRecover, setAutoRecover] = useState(webhook?.auto_recover ?? true)
  const { busy, problem, run } = useAction()
  const isPolled = webhook?.delivery === 'poll'
  const set = (name: keyof Text) => (event: { currentTarget: { value: string } }) => setText({ ...text, [name]: event.currentTarget.value })
  const fault = (name: string) => problem?.at(`/${name}`)
  const submit = () =>
    run(async () => {
      const before = textOf(webhook)
      const values: [keyof Text, unknown][] = [
        ['url', text.url.trim()],
        ['description', text.description || null],
        ['filter', parsed('/filter', text.filter)],
        ['headers', parsed('/headers', text.headers)],
        ['auth', parsed('/auth', text.auth)],
        ['signature_header', parsed('/signature_header', text.signature_header)],
        ['rate_limit', number(text.rate_limit)],
        ['timeout_seconds', number(text.timeout_seconds)],
        ['retry_schedule', text.retry_schedule.trim() === '' ? null : text.retry_schedule.split(',').map((wait) => wait.trim())],
      ]
      // Only what has changed is sent, so that hidden secrets stay as they are.
      const changed = values.filter(([name]) => text[name] !== before[name])
      const body: Record<string, unknown> = Object.fromEntries(changed)
      if (!webhook || events.join() !== webhook.events.join()) body['events'] = events
      if (!webhook ? !autoRecover : autoRecover !== webhook.auto_recover) body['auto_recover'] = autoRecover
      if (!webhook && body['url'] === undefined) body['url'] = ''
      await save(body)
    })
  return (
    <form noValidate onSubmit={(event) => { event.preventDefault(); void submit() }}>
      {isPolled ? null : (
        <Field label="URL" fault={fault('url')} hint="Where the requests go.">
          {(attributes) => <input {...attributes} type="url" value={text.url} onInput={set('url')} placeholder="https://your-app.com/webhooks" autocomplete="off" />}
        </Field>
      )}
      <EventsField events={events} setEvents={setEvents} fault={fault('events')} />
      <Field label="Description" fault={fault('description')}>
        {(attributes) => <input {...attributes} value={text.description} onInput={set('description')} autocomplete="off" />}
      </Field>
      <Field label="Filter" fault={fault('filter')} hint="An event pattern in JSON. Only events that match it are sent. Empty sends all.">
        {(attributes) => <textarea {...attributes} rows={5} class="code" spellcheck={false} value={text.filter} onInput={set('filter')} placeholder={'{ "data": { "object": { "status": ["failed"] } } }'} />}
      </Field>
      <FilterTrial filter={text.filter} events={events} />
      {isPolled ? null : (
        <details>
          <summary>Retries, limits, headers and authentication</summary>
          <Field label="Retry schedule" fault={fault('retry_schedule')} hint="The wait before each attempt, such as 0s, 1m, 5m. Empty uses the usual one.">
            {(attributes) => <input {...attributes} value={text.retry_schedule} onInput={set('retry_schedule')} autocomplete="off" />}
          </Field>
          <Field label="Timeout" fault={fault('timeout_seconds')} hint="Seconds until an attempt without an answer has failed.">
            {(attributes) => <input {...attributes} inputMode="numeric" value={text.timeout_seconds} onInput={set('timeout_seconds')} />}
          </Field>
          <Field label="Rate limit" fault={fault('rate_limit')} hint="The most requests a second. Empty means no limit.">
            {(attributes) => <input {...attributes} inputMode="numeric" value={text.rate_limit} onInput={set('rate_limit')} />}
          </Field>
          <Field label="Headers" fault={fault('headers')} hint="Further headers of each request, as a JSON object. Values are shown as ***.">
            {(attributes) => <textarea {...attributes} rows={3} class="code" spellcheck={false} value={text.headers} onInput={set('headers')} placeholder={'{ "X-Tenant": "acme" }'} />}
          </Field>
          <Field label="Authentication" fault={fault('auth')} hint="How requests authenticate, in JSON: basic, bearer or oauth2. Credentials are shown as ***.">
            {(attributes) => <textarea {...attributes} rows={3} class="code" spellcheck={false} value={text.auth} onInput={set('auth')} placeholder={'{ "type": "bearer", "token": "…" }'} />}
          </Field>
          <Field label="Signature header" fault={fault('signature_header')} hint="A further signature in a form that your receiver already verifies, in JSON.">
            {(attributes) => <textarea {...attributes} rows={3} class="code" spellcheck={false} value={text.signature_header} onInput={set('signature_header')} />}
          </Field>
          <label class="check">
            <input type="checkbox" checked={autoRecover} onChange={(event) => setAutoRecover(event.currentTarget.checked)} />
            Try it again by itself after failures have disabled it
          </label>
        </details>
      )}
      {problem ? <Failed problem={problem} /> : null}
      <p><Button type="submit" kind="primary" busy={busy} refused={refused}>{label}</Button></p>
    </form>
  )
}

/** The event types, chosen from the catalogue. Each shows its sample. */
function EventsField({ events, setEvents, fault }: { events: string[]; setEvents: (events: string[]) => void; fault: string | undefined }) {
  const catalogue = useApi<Page<EventType>>('/v1/event-types')
  const known = catalogue.value?.data ?? []
  const toggle = (name: string) => setEvents(events.includes(name) ? events.filter((event) => event !== name) : [...events, name])
  const groups = [...new Set(known.map((type) => type.name.split('.')[0] ?? ''))]
  const others = events.filter((event) => event !== '*' && !known.some((type) => type.name === event) && !groups.some((group) => event === `${group}.*`))
  return (
    <fieldset aria-describedby={fault ? 'events-fault' : undefined}>
      <legend>Events</legend>
      <label class="check"><input type="checkbox" checked={events.includes('*')} onChange={() => toggle('*')} /> <code>*</code> all events, also of types that are added later</label>
      {catalogue.problem ? <Failed problem={catalogue.problem} retry={catalogue.reload} /> : null}
      {groups.map((group) => (
        <div class="group" key={group}>
          <label class="check"><input type="checkbox" checked={events.includes(`${group}.*`)} onChange={() => toggle(`${group}.*`)} /> <code>{group}.*</code></label>
          {known.filter((type) => type.name.startsWith(`${group}.`)).map((type) => (
            <div class="type" key={type.name}>
              <label class="check">
                <input type="checkbox" checked={events.includes(type.name)} onChange={() => toggle(type.name)} /> <code>{type.name}</code>
                <span class="muted"> {type.description}</span>
              </label>
              <details class="sample"><summary aria-label={`Sample of ${type.name}`}>sample</summary><pre>{JSON.stringify(type.sample, null, 2)}</pre></details>
            </div>
          ))}
        </div>
      ))}
      {others.map((event) => <label class="check" key={event}><input type="checkbox" checked onChange={() => toggle(event)} /> <code>{event}</code></label>)}
      {fault ? <p class="fault" id="events-fault">{fault}</p> : null}
    </fieldset>
  )
}

/** How long the reader pauses before the filter is tried. */
const PAUSE_MS = 300

type Recent = { id: string; type: string; created_at: string }

/** Tries the filter on a sample or on a recent event while it is typed. */
function FilterTrial({ filter, events }: { filter: string; events: string[] }) {
  const catalogue = useApi<Page<EventType>>('/v1/event-types')
  const recent = useApi<Page<Recent>>('/v1/events?limit=20')
  const [subject, setSubject] = useState('')
  const [result, setResult] = useState<FilterTest | string>()
  const samples = catalogue.value?.data ?? []
  const wanted = samples.find((type) => events.includes(type.name))?.name ?? samples[0]?.name ?? ''
  const chosen = subject || (wanted && `sample ${wanted}`)
  useEffect(() => {
    setResult(undefined)
    if (filter.trim() === '' || !chosen) return
    const timer = setTimeout(async () => {
      try {
        const [kind, name] = chosen.split(' ')
        const sample = samples.find((type) => type.name === name)?.sample
        const event = kind === 'event' ? { event_id: name } : { type: name, data: sample?.data, ...(sample?.previous_data ? { previous_data: sample.previous_data } : {}) }
        setResult(await post<FilterTest>('/v1/filters/test', { filter: JSON.parse(filter) as unknown, ...event }))
      } catch (error) {
        setResult(error instanceof Problem ? (error.at('/filter') ?? error.message) : 'is not complete yet')
      }
    }, PAUSE_MS)
    return () => clearTimeout(timer)
  }, [filter, chosen, samples.length])
  if (filter.trim() === '') return null
  return (
    <div class="trial">
      <label>
        Try it on{' '}
        <select value={chosen} onChange={(event) => setSubject(event.currentTarget.value)}>
          <optgroup label="Samples">{samples.map((type) => <option key={type.name} value={`sample ${type.name}`}>{type.name}</option>)}</optgroup>
          <optgroup label="Recent events">{(recent.value?.data ?? []).map((event) => <option key={event.id} value={`event ${event.id}`}>{event.type} {event.created_at}</option>)}</optgroup>
        </select>
      </label>
      <p aria-live="polite">
        {result === undefined ? '…' : typeof result === 'string' ? <span class="bad-text">The filter {result}</span> : result.matches ? (
          <span class="good-text">✓ It matches: the event would be sent.</span>
        ) : (
          <span class="bad-text">✕ It does not match{result.explanation ? <>: <code>{result.explanation.path}</code> is <code>{JSON.stringify(result.explanation.found) ?? 'missing'}</code>, expected <code>{JSON.stringify(result.explanation.expected)}</code>. {result.explanation.detail}</> : '.'}</span>
        )}
      </p>
    </div>
  )
}
