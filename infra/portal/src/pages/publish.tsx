// Publishes an event, and shows beforehand which webhooks would get it.
import { useState } from 'preact/hooks'
import { type DryRun, type Event, type EventType, type Page, Problem, type Webhook, post } from '../api'
import { useSession } from '../context'
import { useAction, useApi } from '../data'
import { Icon } from '../icon'
import { go, link } from '../route'
import { Button, Failed, Field, Note, NoPage } from '../ui'
import { Mismatch } from './mismatch'

export function PublishPage() {
  const { publish, read_only: readOnly } = useSession()
  const catalogue = useApi<Page<EventType>>('/v1/event-types')
  const [type, setType] = useState('')
  const [typed, setTyped] = useState<string>()
  const [run, setRun] = useState<DryRun>()
  const trial = useAction()
  const publication = useAction()
  const types = catalogue.value?.data ?? []
  const chosen = type || types[0]?.name || ''
  const sampleOf = (name: string) => types.find((entry) => entry.name === name)?.sample
  // Until something is typed, the sample of the type.
  const data = typed ?? textOf(sampleOf(chosen))
  const choose = (name: string) => {
    setType(name)
    setTyped(sampleOf(name) ? undefined : data)
    setRun(undefined)
  }
  if (!publish || readOnly) return <NoPage problem={new Problem(403, 'This link does not let you publish. Ask for one that does.')} retry={() => {}} />
  const body = () => {
    try {
      return { type: chosen, ...(JSON.parse(data) as object) }
    } catch (error) {
      throw new Problem(422, 'The event is not JSON.', [{ pointer: '#/data', detail: (error as Error).message }])
    }
  }
  const ask = () => trial.run(async () => setRun(await post<DryRun>('/v1/events/dry-run?limit=100', body())))
  const send = () => publication.run(async () => go('events', (await post<Event>('/v1/events', body())).id))
  const problem = publication.problem ?? trial.problem
  const faultsElsewhere = problem?.faults.filter((fault) => !/^#\/(type|data|previous_data)/.test(fault.pointer)) ?? []
  return (
    <>
      <nav aria-label="Where you are" class="crumbs"><a href={link('events')}>Events</a><Icon name="chevron" size={12} /></nav>
      <div class="title"><h1>Publish an event</h1></div>
      <form noValidate onSubmit={(event) => { event.preventDefault(); void send() }}>
        <Field label="Type" fault={problem?.at('/type')}>
          {(attributes) => <select {...attributes} value={chosen} onChange={(event) => choose(event.currentTarget.value)}>{types.map((entry) => <option key={entry.name}>{entry.name}</option>)}</select>}
        </Field>
        <Field label="Data" fault={problem?.at('/data') ?? problem?.at('/previous_data')} hint="JSON with “data”, and “previous_data” if the event is a change.">
          {(attributes) => <textarea {...attributes} class="code" rows={12} spellcheck={false} value={data} onInput={(event) => { setTyped(event.currentTarget.value); setRun(undefined) }} />}
        </Field>
        {catalogue.problem ? <Failed problem={catalogue.problem} retry={catalogue.reload} /> : null}
        {problem && (problem.faults.length === 0 || faultsElsewhere.length > 0) ? <Failed problem={problem} /> : null}
        <div class="row">
          <Button type="submit" kind="primary" busy={publication.busy}>Publish</Button>
          <Button busy={trial.busy} onClick={() => void ask()}>Who would get it?</Button>
        </div>
      </form>
      <div aria-live="polite">{run ? <Reached run={run} /> : null}</div>
    </>
  )
}

function textOf(sample?: EventType['sample']): string {
  return sample ? JSON.stringify({ data: sample.data, ...(sample.previous_data ? { previous_data: sample.previous_data } : {}) }, null, 2) : ''
}

const REASONS: Record<string, string> = { disabled: 'is disabled: the event would be held', event_type: 'does not subscribe to the type', filter: 'has a filter that does not match' }

function Reached({ run }: { run: DryRun }) {
  const known = useApi<Page<Webhook>>('/v1/webhooks?limit=100')
  const nameOf = (id: string) => known.value?.data.find((webhook) => webhook.id === id)?.url ?? <code>{id}</code>
  const reached = run.webhooks.filter((webhook) => webhook.delivers).length
  const all = `${run.webhooks.length}${run.next_cursor ? ' or more' : ''} ${run.webhooks.length === 1 ? 'webhook' : 'webhooks'}`
  return (
    <section>
      <h2>{reached} of {all} would get it. Nothing was published.</h2>
      <ul class="rows">
        {run.webhooks.map((webhook) => (
          <li key={webhook.webhook_id} class="finding">
            <div class="row">
              <span class={`outcome ${webhook.delivers ? 'good-text' : 'muted'}`}><Icon name={webhook.delivers ? 'check' : 'dash'} size={12} />{webhook.delivers ? 'gets it' : 'does not'}</span>
              <a href={link('webhooks', webhook.webhook_id)}>{webhook.request?.url ?? nameOf(webhook.webhook_id)}</a>
              {webhook.reason ? <span class="muted">{REASONS[webhook.reason] ?? webhook.reason}</span> : null}
            </div>
            {webhook.filter ? <p><Mismatch explanation={webhook.filter} /></p> : null}
          </li>
        ))}
      </ul>
      {run.webhooks.length === 0 ? <Note tone="plain">The account has no webhooks.</Note> : null}
    </section>
  )
}
