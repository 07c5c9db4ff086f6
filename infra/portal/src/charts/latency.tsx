// Latency and outcomes over time, of a webhook's latest deliveries.
import type uPlot from 'uplot'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Attempt, Delivery } from '../api'
import { go } from '../route'
import { exact, isSuccess, milliseconds, outcome } from '../text'

declare const CHARTS: string

type Point = { attempt: Attempt; delivery: string; at: number }
type Tip = { left: number; top: number; text: string }

const HEIGHT = 200

export function LatencyChart({ deliveries }: { deliveries: Delivery[] }) {
  const place = useRef<HTMLDivElement>(null)
  const [failed, setFailed] = useState(false)
  const [tip, setTip] = useState<Tip>()
  const points: Point[] = deliveries
    .flatMap((delivery) => delivery.attempts.map((attempt) => ({ attempt, delivery: delivery.id, at: Date.parse(attempt.started_at) / 1000 })))
    .sort((one, other) => one.at - other.at)
  const theme = useTheme()
  const key = points.map((point) => `${point.delivery}${point.at}`).join()
  useEffect(() => {
    const box = place.current
    if (!box || points.length === 0) return
    let chart: uPlot | undefined
    let isOver = false
    const draw = async () => {
      const { default: Chart } = (await import(CHARTS)) as { default: typeof uPlot }
      if (!isOver) chart = new Chart(optionsOf(box.clientWidth, points, setTip), dataOf(points), box)
    }
    draw().catch(() => setFailed(true))
    const resize = new ResizeObserver(() => chart?.setSize({ width: box.clientWidth, height: HEIGHT }))
    resize.observe(box)
    return () => {
      isOver = true
      resize.disconnect()
      chart?.destroy()
    }
  }, [key, theme])
  if (points.length === 0) return null
  const good = points.filter((point) => isSuccess(point.attempt)).length
  const longest = Math.max(...points.map((point) => point.attempt.duration_ms))
  const summary = `${points.length} attempts: ${good} accepted, ${points.length - good} not; the longest took ${milliseconds(longest)}`
  return (
    <figure class="chart">
      <figcaption>
        <span>How long the latest {points.length} attempts took</span>
        <span class="key good-text">accepted</span> <span class="key bad-text">not accepted</span>
      </figcaption>
      <div class="chart-place">
        <div ref={place} role="img" aria-label={summary} />
        {tip ? <div class="tip" style={{ left: `${tip.left}px`, top: `${tip.top}px` }}>{tip.text}</div> : null}
      </div>
      {failed ? <p class="muted">{summary}.</p> : null}
    </figure>
  )
}

function dataOf(points: Point[]): uPlot.AlignedData {
  const of = (isGood: boolean) => points.map(({ attempt }) => (isSuccess(attempt) === isGood ? attempt.duration_ms : null))
  return [points.map((point) => point.at), of(true), of(false)]
}

function optionsOf(width: number, points: Point[], setTip: (tip: Tip | undefined) => void): uPlot.Options {
  const style = getComputedStyle(document.documentElement)
  const colour = (name: string) => style.getPropertyValue(name).trim()
  const axis = { stroke: colour('--muted'), font: '12px system-ui', ticks: { show: false } }
  const grid = { stroke: colour('--line'), width: 1 }
  const bars = (name: string): uPlot.Series => ({
    stroke: colour(name),
    paths: () => null,
    points: { show: true, size: 7, fill: colour(name), stroke: colour('--page'), width: 1 },
  })
  return {
    width,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: { x: { range: (_, min, max) => padded(min, max) }, y: { range: (_, __, max) => [0, Math.max(max * 1.15, 10)] } },
    axes: [
      { ...axis, grid: { show: false }, size: 28, space: 96, values: clock },
      { ...axis, grid, size: 56, space: 40, values: (_, ticks) => ticks.map((tick) => milliseconds(tick)) },
    ],
    series: [{}, bars('--good'), bars('--bad')],
    hooks: {
      setCursor: [
        (chart) => {
          const point = points[chart.cursor.idx ?? -1]
          if (!point || (chart.cursor.left ?? -1) < 0) return setTip(undefined)
          const { attempt } = point
          const left = chart.valToPos(point.at, 'x') + chart.over.offsetLeft
          const top = chart.valToPos(attempt.duration_ms, 'y') + chart.over.offsetTop
          const edge = Math.min(Math.max(left, 120), width - 120)
          setTip({ left: edge, top, text: `${outcome(attempt)} in ${milliseconds(attempt.duration_ms)}, ${exact(attempt.started_at)}` })
        },
      ],
      ready: [
        (chart) => {
          chart.over.addEventListener('click', () => {
            const point = points[chart.cursor.idx ?? -1]
            if (point) go('deliveries', point.delivery)
          })
        },
      ],
    },
  }
}

/** Leaves room at both ends, so that no point is cut, and so that one point alone has a scale. */
function padded(min: number, max: number): [number, number] {
  const room = Math.max((max - min) * 0.02, 0.5)
  return [min - room, max + room]
}

const DAY_S = 86_400

/** Times of day, or days where the axis is longer than one. */
function clock(_: uPlot, ticks: number[]): string[] {
  const length = (ticks[ticks.length - 1] ?? 0) - (ticks[0] ?? 0)
  const options: Intl.DateTimeFormatOptions =
    length > DAY_S ? { month: 'short', day: 'numeric' } : { hour: '2-digit', minute: '2-digit', ...(length < 600 ? { second: '2-digit' } : {}), hourCycle: 'h23' }
  return ticks.map((tick) => new Date(tick * 1000).toLocaleString(undefined, options))
}

/** Changes when the colours do, so that what is drawn on a canvas is drawn again. */
function useTheme(): string {
  const dark = matchMedia('(prefers-color-scheme: dark)')
  const read = () => `${document.documentElement.dataset['theme'] ?? ''} ${dark.matches}`
  const [theme, setTheme] = useState(read)
  useEffect(() => {
    const changed = () => setTheme(read())
    const observer = new MutationObserver(changed)
    observer.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    dark.addEventListener('change', changed)
    return () => {
      observer.disconnect()
      dark.removeEventListener('change', changed)
    }
  }, [])
  return theme
}
