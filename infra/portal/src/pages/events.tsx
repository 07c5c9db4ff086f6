// The log of events, newest first, live.
import { type Event, type EventType, type Page, query } from '../api'
import { useSession } from '../context'
import { useApi, useList } from '../data'
import { Icon } from '../icon'
import { link, setParameters } from '../route'
import { Empty, Failed, Skeleton, Time } from '../ui'
import { Older, Windowed } from '../windowed'
import { rowHeight } from './deliveries'

export function EventsPage({ parameters }: { parameters: URLSearchParams }) {
  const type = parameters.get('type') ?? ''
  const list = useList<Event>(query('/v1/events', { limit: 50, type }), true)
  const catalogue = useApi<Page<EventType>>('/v1/event-types')
  const { publish, read_only: readOnly } = useSession()
  const types = [...new Set([...(type ? [type] : []), ...(catalogue.value?.data ?? []).map((entry) => entry.name)])]
  return (
    <>
      <div class="title">
        <h1>Events</h1>
        {publish && !readOnly ? <a class="button primary" href={link('events', 'new')}><Icon name="send" />Publish an event</a> : null}
      </div>
      <div class="row filters">
        <select aria-label="Type" value={type} onChange={(event) => setParameters({ type: event.currentTarget.value })}>
          <option value="">Any type</option>
          {types.map((name) => <option key={name}>{name}</option>)}
        </select>
        <span class="live">Live</span>
      </div>
      {list.problem ? <Failed problem={list.problem} retry={list.reload} /> : null}
      {list.items === undefined ? (list.problem ? null : <Skeleton lines={8} />) : list.items.length === 0 ? list.hasMore ? null : (
        <Empty title={type ? 'No such events' : 'No events yet'}><p>{type ? 'No event of this type is kept.' : 'Whatever is published appears here within seconds.'}</p></Empty>
      ) : (
        <>
          <div class="delivery event heads" aria-hidden="true"><span>Type</span><span>Event</span><span class="wide when">Published</span></div>
          <Windowed items={list.items} hasMore={list.hasMore} height={rowHeight()} label="Events" onEnd={list.isThin ? undefined : list.more} row={(event) => (
            <a class="delivery event" href={link('events', event.id)}>
              <code class="clip">{event.type}</code>
              <code class="muted clip">{event.id}</code>
              <span class="wide when"><Time at={event.created_at} /></span>
            </a>
          )} />
        </>
      )}
      <Older list={list} />
    </>
  )
}
