// A long list of rows of one height, of which only those near the visible part are in the page.
import { Component, type ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { List } from './data'
import { Button } from './ui'

/** Rows beside the visible ones. */
const MARGIN = 8

type Properties<T> = { items: T[]; hasMore: boolean; height: number; label: string; row: (item: T) => ComponentChildren; onEnd: (() => void) | undefined }

export function Windowed<T extends { id: string }>({ items, hasMore, height, label, row, onEnd }: Properties<T>) {
  const place = useRef<HTMLDivElement>(null)
  const [range, setRange] = useState([0, 40] as [number, number])
  useEffect(() => {
    let frame = 0
    const look = () => {
      frame = 0
      const top = place.current?.getBoundingClientRect().top ?? 0
      const first = Math.max(0, Math.floor(-top / height) - MARGIN)
      const last = first + Math.ceil(innerHeight / height) + 2 * MARGIN
      setRange((before) => (before[0] === first && before[1] === last ? before : [first, last]))
      if (last >= items.length) onEnd?.()
    }
    const soon = () => { frame ||= requestAnimationFrame(look) }
    look()
    addEventListener('scroll', soon, { passive: true })
    addEventListener('resize', soon)
    return () => {
      cancelAnimationFrame(frame)
      removeEventListener('scroll', soon)
      removeEventListener('resize', soon)
    }
  }, [items.length, height, onEnd])
  const [first, last] = range
  // While older ones are still to be read, nobody knows how many there are.
  const size = hasMore ? -1 : items.length
  return (
    <div ref={place} role="list" aria-label={label} class="windowed" style={{ height: `${items.length * height}px` }}>
      {items.slice(first, last).map((item, index) => <Line key={item.id} item={item} position={first + index} size={size} height={height} row={row} />)}
    </div>
  )
}

type LineProperties<T> = { item: T; position: number; size: number; height: number; row: (item: T) => ComponentChildren }

/** A row that stays as it is while its item does: scrolling draws only the rows that come into view. */
class Line<T> extends Component<LineProperties<T>> {
  override shouldComponentUpdate(next: LineProperties<T>): boolean {
    const { item, position, size, height } = this.props
    return next.item !== item || next.position !== position || next.size !== size || next.height !== height
  }

  override render({ item, position, size, height, row }: LineProperties<T>) {
    return (
      <div role="listitem" class="line" aria-setsize={size} aria-posinset={position + 1} style={{ top: `${position * height}px`, height: `${height}px` }}>
        {row(item)}
      </div>
    )
  }
}

/** What is said at the end of a list that goes on. */
export function Older({ list }: { list: List<{ id: string }> }) {
  if (!list.hasMore) return null
  if (list.loading) return <p class="muted" role="status">Reading older ones…</p>
  return list.isThin ? <p class="row"><Button onClick={list.more}>Look further back</Button><span class="muted">None among those that were read last.</span></p> : null
}
