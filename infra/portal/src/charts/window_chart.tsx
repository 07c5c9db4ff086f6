// What was not delivered, over time, and the window of it that is chosen.
import { useRef } from 'preact/hooks'
import type { Delivery } from '../api'
import { exact } from '../text'

export type Window = { from: number; to: number }

const COLUMNS = 48
const MINUTE_MS = 60_000
/** Widths of a column that read well. Beyond the last, multiples of it. */
const WIDTHS_MS = [1_000, 5_000, 15_000, MINUTE_MS, 5 * MINUTE_MS, 10 * MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS, 60 * MINUTE_MS, 2 * 60 * MINUTE_MS, 3 * 60 * MINUTE_MS, 6 * 60 * MINUTE_MS, 12 * 60 * MINUTE_MS]

type Column = Window & { failed: number; held: number }

/** Drag over columns, or choose one and extend the window from the keyboard with Shift and Enter. */
export function WindowChart({ lost, window, choose }: { lost: Delivery[]; window: Window | undefined; choose: (window: Window) => void }) {
  const begun = useRef<Column | undefined>(undefined)
  const columns = columnsOf(lost)
  const [first, last] = [columns[0], columns[columns.length - 1]]
  if (!first || !last) return null
  const highest = Math.max(...columns.map((column) => column.failed + column.held), 1)
  const span = (one: Window, other: Window) => choose({ from: Math.min(one.from, other.from), to: Math.max(one.to, other.to) })
  // The column comes from the place and not from the target: a finger keeps the target that it began with.
  const under = (event: PointerEvent): Column | undefined => {
    const { left, width } = (event.currentTarget as HTMLElement).getBoundingClientRect()
    return columns[Math.min(columns.length - 1, Math.max(0, Math.floor(((event.clientX - left) / width) * columns.length)))]
  }
  const begin = (event: PointerEvent) => {
    const column = under(event)
    begun.current = column
    if (column) span(column, column)
  }
  const extend = (event: PointerEvent) => {
    const column = under(event)
    if (begun.current && event.buttons > 0 && column) span(begun.current, column)
  }
  const end = () => { begun.current = undefined }
  const isIn = (column: Column) => Boolean(window && column.from >= window.from && column.to <= window.to)
  const isLong = last.to - first.from > 24 * 60 * MINUTE_MS
  const label = (time: number) => new Date(time).toLocaleString(undefined, { hourCycle: 'h23', ...(isLong ? { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' } : { hour: '2-digit', minute: '2-digit', ...(last.to - first.from < 60 * MINUTE_MS ? { second: '2-digit' } : {}) }) })
  return (
    <figure class="chart">
      <figcaption>
        <span>By time of publication. Drag over the chart to choose a part of it.</span>
        <span class="key bad-text">failed</span> <span class="key wait-text">held</span>
      </figcaption>
      <div class="brush" role="group" aria-label="Choose a window" onPointerDown={begin} onPointerMove={extend} onPointerUp={end} onPointerCancel={end}>
        <span class="scale numbers" aria-hidden="true">{highest.toLocaleString('en')}</span>
        {columns.map((column) => {
          const count = column.failed + column.held
          const parts = <>
            {column.failed ? <span class="bad-fill" style={{ height: `${(column.failed / highest) * 100}%` }} /> : null}
            {column.held ? <span class="wait-fill" style={{ height: `${(column.held / highest) * 100}%` }} /> : null}
          </>
          const shared = { class: isIn(column) ? 'column in' : 'column' }
          // Columns with nothing in them are in nobody's way on the keyboard.
          if (count === 0) return <div key={column.from} {...shared} />
          const text = `${exact(new Date(column.from).toISOString())}: ${column.failed} failed, ${column.held} held`
          return (
            <button key={column.from} type="button" {...shared} title={text} aria-label={text} aria-pressed={isIn(column)} onClick={(event) => { if (event.detail === 0) span(event.shiftKey && window ? window : column, column) }}>
              {parts}
            </button>
          )
        })}
      </div>
      <div class="axis"><span>{label(first.from)}</span><span>{label((first.from + last.to) / 2)}</span><span>{label(last.to)}</span></div>
    </figure>
  )
}

/** Counts in columns that begin at round times, so that the ends of a window read well. */
function columnsOf(lost: Delivery[]): Column[] {
  const times = lost.map((delivery) => Date.parse(delivery.created_at))
  if (times.length === 0) return []
  const [first, last] = [Math.min(...times), Math.max(...times)]
  const least = (last - first) / (COLUMNS - 1)
  const longest = WIDTHS_MS[WIDTHS_MS.length - 1] as number
  const width = WIDTHS_MS.find((width) => width >= least) ?? Math.ceil(least / longest) * longest
  const start = Math.floor(first / width) * width
  const count = Math.max(COLUMNS / 4, Math.floor((last - start) / width) + 1)
  const columns = Array.from({ length: count }, (_, index): Column => ({ from: start + index * width, to: start + (index + 1) * width, failed: 0, held: 0 }))
  lost.forEach((delivery, index) => {
    const column = columns[Math.floor(((times[index] ?? start) - start) / width)]
    if (column) column[delivery.status === 'held' ? 'held' : 'failed'] += 1
  })
  return columns
}
