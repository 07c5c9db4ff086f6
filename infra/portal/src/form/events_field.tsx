// The event types that a webhook subscribes to, chosen from the catalogue. Each shows its sample.
import { useState } from 'preact/hooks'
import type { EventType, Page } from '../api'
import { useApi } from '../data'
import { Failed, Skeleton } from '../ui'

type Properties = { events: string[]; fault: string | undefined; change: (events: string[]) => void }

export function EventsField({ events, fault, change }: Properties) {
  const catalogue = useApi<Page<EventType>>('/v1/event-types')
  const known = catalogue.value?.data
  const groups = [...new Set((known ?? []).map((type) => groupOf(type.name)))]
  const others = events.filter((event) => event !== '*' && !known?.some((type) => type.name === event) && !groups.some((group) => event === `${group}.*`))
  const hasAll = events.includes('*')
  const check = (name: string, text: string, isImplied = false) => (
    <label class="check">
      <input type="checkbox" checked={isImplied || events.includes(name)} disabled={isImplied} onChange={() => change(toggled(events, name))} />
      <span><code>{name}</code>{text ? <span class="muted"> {text}</span> : null}</span>
    </label>
  )
  return (
    <fieldset aria-describedby={fault ? 'events-fault' : undefined}>
      <legend>Events</legend>
      {catalogue.problem ? <Failed problem={catalogue.problem} retry={catalogue.reload} /> : null}
      {known === undefined ? (catalogue.problem ? null : <Skeleton lines={4} />) : (
        <div class="catalogue" tabIndex={0} role="group" aria-label="Types">
          <div>{check('*', 'every event, also of types that are added later')}</div>
          {groups.map((group) => {
            const hasGroup = hasAll || events.includes(`${group}.*`)
            return (
              <div key={group}>
                {check(`${group}.*`, '', hasAll)}
                {known.filter((type) => groupOf(type.name) === group).map((type) => <TypeRow key={type.name} type={type}>{check(type.name, type.description, hasGroup)}</TypeRow>)}
              </div>
            )
          })}
          {others.map((event) => <div key={event}>{check(event, 'not in the catalogue')}</div>)}
        </div>
      )}
      {fault ? <p class="fault" id="events-fault">{fault}</p> : null}
    </fieldset>
  )
}

const groupOf = (name: string): string => name.slice(0, name.lastIndexOf('.') + 1 || undefined).replace(/\.$/, '')

const toggled = (events: string[], name: string): string[] =>
  events.includes(name) ? events.filter((event) => event !== name) : [...events, name]

function TypeRow({ type, children }: { type: EventType; children: preact.ComponentChildren }) {
  const [isShown, setShown] = useState(false)
  return (
    <div class="type below">
      {children}
      <button type="button" class="quiet" aria-expanded={isShown} aria-label={`Sample of ${type.name}`} onClick={() => setShown(!isShown)}>{isShown ? 'Hide sample' : 'Sample'}</button>
      {isShown ? <pre tabIndex={0} role="region" aria-label={`Sample of ${type.name}`}>{JSON.stringify(type.sample, null, 2)}</pre> : null}
    </div>
  )
}
