// The filter of a webhook, tried on a sample or on a recent event while it is typed.
import { useEffect, useRef, useState } from 'preact/hooks'
import { type Event, type EventType, type FilterTest, type Page, Problem, post } from '../api'
import { useApi } from '../data'
import { Mismatch } from '../pages/mismatch'
import { ago, written } from '../text'
import { Field, Note } from '../ui'

const EXAMPLES: [string, object][] = [
  ['One of some values', { data: { object: { status: ['failed', 'active'] } } }],
  ['At least', { data: { object: { amount: [{ numeric: ['>=', 1000] }] } } }],
  ['Begins with', { data: { object: { name: [{ prefix: 'Sample' }] } } }],
  ['Not these', { data: { object: { status: [{ 'anything-but': ['draft'] }] } } }],
  ['A field has changed', { data: { object: { name: [{ changed: true }] } } }],
]

type Properties = { text: string; events: string[]; fault: string | undefined; change: (text: string) => void }

export function FilterField({ text, events, fault, change }: Properties) {
  const isEmpty = text.trim() === ''
  return (
    <>
      <Field label="Filter" fault={fault} hint={isEmpty ? 'Only events that match are sent. Empty sends all. Begin with an example:' : 'An event pattern: each list holds the values or the conditions that a field may have.'}>
        {(attributes) => <textarea {...attributes} rows={isEmpty ? 3 : Math.min(16, text.split('\n').length + 1)} class="code" spellcheck={false} value={text} onInput={(event) => change(event.currentTarget.value)} />}
      </Field>
      {isEmpty ? (
        <div class="examples">
          {EXAMPLES.map(([name, filter]) => <button key={name} type="button" onClick={() => change(written(filter))}>{name}</button>)}
        </div>
      ) : <FilterTrial filter={text} events={events} />}
    </>
  )
}

/** How long the reader pauses before the filter is tried. */
const PAUSE_MS = 300

type Result = { tone: 'good' | 'bad' | 'plain'; text: preact.ComponentChildren }

function FilterTrial({ filter, events }: { filter: string; events: string[] }) {
  const catalogue = useApi<Page<EventType>>('/v1/event-types')
  const recent = useApi<Page<Event>>('/v1/events?limit=20')
  const [subject, setSubject] = useState('')
  const [result, setResult] = useState<Result>()
  const samples = catalogue.value?.data ?? []
  const wanted = samples.find((type) => isSubscribed(events, type.name)) ?? samples[0]
  const chosen = subject || (wanted ? `sample ${wanted.name}` : '')
  const round = useRef(0)
  useEffect(() => {
    if (!chosen) return
    const timer = setTimeout(async () => {
      const mine = (round.current += 1)
      const found = await tried(filter, chosen, samples)
      // A slow answer to an older text must not replace that to a newer one.
      if (mine === round.current) setResult(found)
    }, PAUSE_MS)
    return () => clearTimeout(timer)
  }, [filter, chosen, samples.length])
  return (
    <div class="trial">
      <label class="row">
        Tried on
        <select value={chosen} onChange={(event) => setSubject(event.currentTarget.value)}>
          <optgroup label="Samples">{samples.map((type) => <option key={type.name} value={`sample ${type.name}`}>{type.name}</option>)}</optgroup>
          {recent.value?.data.length ? (
            <optgroup label="Recent events">{recent.value.data.map((event) => <option key={event.id} value={`event ${event.id}`}>{event.type}, {ago(event.created_at, Date.now())}, …{event.id.slice(-6)}</option>)}</optgroup>
          ) : null}
        </select>
      </label>
      <div aria-live="polite">{result ? <Note tone={result.tone}>{result.text}</Note> : <Note tone="plain">Trying…</Note>}</div>
    </div>
  )
}

const isSubscribed = (events: string[], name: string): boolean =>
  events.some((event) => event === '*' || event === name || (event.endsWith('.*') && name.startsWith(event.slice(0, -1))))

async function tried(filter: string, subject: string, samples: EventType[]): Promise<Result> {
  const [kind, name = ''] = subject.split(' ')
  const sample = samples.find((type) => type.name === name)?.sample
  const event = kind === 'event' ? { event_id: name } : { type: name, data: sample?.data, ...(sample?.previous_data ? { previous_data: sample.previous_data } : {}) }
  let parsed: unknown
  try {
    parsed = JSON.parse(filter)
  } catch (error) {
    return { tone: 'plain', text: `This is not JSON yet: ${(error as Error).message}.` }
  }
  try {
    const { matches, explanation } = await post<FilterTest>('/v1/filters/test', { filter: parsed, ...event })
    if (matches) return { tone: 'good', text: 'It matches: this event would be sent.' }
    return { tone: 'bad', text: <>It does not match. {explanation ? <Mismatch explanation={explanation} /> : null}</> }
  } catch (error) {
    if (!(error instanceof Problem)) return { tone: 'bad', text: String(error) }
    if (error.faults.length === 0) return { tone: 'bad', text: error.message }
    return { tone: 'bad', text: <>{error.faults.map((fault) => <div key={fault.pointer}><code>{fault.pointer.replace(/^#\/filter\/?/, '') || 'the filter'}</code>: {fault.detail}</div>)}</> }
  }
}
