// Latency and outcomes over time, of a webhook's latest deliveries.
import type uPlot from 'uplot'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Delivery } from '../api'
import { isSuccess, milliseconds } from '../text'

declare const CHARTS: string

type Point = { at: number; ms: number; good: boolean }

const HEIGHT = 180

export function LatencyChart({ deliveries }: { deliveries: Delivery[] }) {
  const place = useRef<HTMLDivElement>(null)
  const [failed, setFailed] = useState(false)
  const points: Point[] = deliveries
    .flatMap((delivery) => delivery.attempts.map((attempt) => ({ at: Date.parse(attempt.started_at) / 1000, ms: attempt.duration_ms, good: isSuccess(attempt) })))
    .sort((one, other) => one.at - other.at)
  const key = points.map((point) => point.at).join()
  useEffect(() => {
    const box = place.current
    if (!box || points.length === 0) return
    let chart: uPlot | undefined
    let over = false
    const draw = async () => {
      const { default: Chart } = (await import(CHARTS)) as { default: typeof uPlot }
      if (over) return
      const style = getComputedStyle(document.documentElement)
      const colour = (name: string) => style.getPropertyValue(name).trim()
      const line = { grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false }, stroke: colour('--muted'), font: '12px system-ui' }
      const dots = (label: string, name: string): uPlot.Series => ({ label, stroke: colour(name), paths: () => null, points: { show: true, size: 6, fill: colour(name) } })
      chart = new Chart(
        {
          width: box.clientWidth,
          height: HEIGHT,
          legend: { show: false },
          cursor: { show: false },
          scales: { y: { range: (_, __, max) => [0, Math.max(max * 1.1, 10)] } },
          axes: [{ ...line }, { ...line, size: 64, values: (_, ticks) => ticks.map(milliseconds) }],
          series: [{}, dots('accepted', '--good'), dots('not accepted', '--bad')],
        },
        [points.map((point) => point.at), points.map((point) => (point.good ? point.ms : null)), points.map((point) => (point.good ? null : point.ms))],
        box,
      )
    }
    draw().catch(() => setFailed(true))
    const resize = new ResizeObserver(() => chart?.setSize({ width: box.clientWidth, height: HEIGHT }))
    resize.observe(box)
    return () => {
      over = true
      resize.disconnect()
      chart?.destroy()
    }
  }, [key])
  if (points.length === 0) return null
  const good = points.filter((point) => point.good).length
  const summary = `${points.length} attempts: ${good} accepted, ${points.length - good} not; the longest took ${milliseconds(Math.max(...points.map((point) => point.ms)))}`
  return (
    <figure class="chart">
      <figcaption>
        Latest attempts: how long each took <span class="good-text">● accepted</span> <span class="bad-text">● not accepted</span>
      </figcaption>
      <div ref={place} role="img" aria-label={summary} class="chart-place" />
      {failed ? <p class="muted">{summary}.</p> : null}
    </figure>
  )
}
