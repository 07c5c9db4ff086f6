// A long list of rows of one height, of which only those near the visible part are in the page.
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'

/** Rows beside the visible ones. */
const MARGIN = 15

type Properties<T> = { items: T[]; height: number; label: string; row: (item: T) => ComponentChildren; onEnd: () => void }

export function Windowed<T extends { id: string }>({ items, height, label, row, onEnd }: Properties<T>) {
  const place = useRef<HTMLDivElement>(null)
  const [range, setRange] = useState([0, 60] as [number, number])
  useEffect(() => {
    let frame = 0
    const look = () => {
      frame = 0
      const top = place.current?.getBoundingClientRect().top ?? 0
      const first = Math.max(0, Math.floor(-top / height) - MARGIN)
      const last = first + Math.ceil(innerHeight / height) + 2 * MARGIN
      setRange((before) => (before[0] === first && before[1] === last ? before : [first, last]))
      if (last >= items.length) onEnd()
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
  return (
    <div ref={place} role="list" aria-label={label} class="windowed" style={{ height: `${items.length * height}px` }}>
      {items.slice(first, last).map((item, index) => (
        <div role="listitem" key={item.id} class="line" aria-setsize={items.length} aria-posinset={first + index + 1} style={{ top: `${(first + index) * height}px`, height: `${height}px` }}>
          {row(item)}
        </div>
      ))}
    </div>
  )
}
