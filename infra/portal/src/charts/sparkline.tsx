// The outcomes of the latest deliveries at a glance.
import type { Attempt, Delivery } from '../api'
import { isSuccess } from '../text'

const STEP = 5
const HEIGHT = 24

/** One bar a delivery, oldest first, as high as its latest attempt took. Undefined deliveries are still being read. */
export function Sparkline({ deliveries }: { deliveries: Delivery[] | undefined }) {
  if (!deliveries) return <svg class="spark loading" width={STEP} height={HEIGHT} aria-hidden="true" />
  const attempts = deliveries.map((delivery) => delivery.attempts[delivery.attempts.length - 1]).filter((attempt): attempt is Attempt => attempt !== undefined).reverse()
  if (attempts.length === 0) return <span class="muted">{deliveries.length === 0 ? 'nothing sent yet' : 'none sent lately'}</span>
  const longest = Math.max(...attempts.map((attempt) => attempt.duration_ms), 1)
  const failed = attempts.filter((attempt) => !isSuccess(attempt)).length
  const label = `Latest ${attempts.length} deliveries: ${attempts.length - failed} accepted, ${failed} not`
  const width = attempts.length * STEP
  return (
    <svg class="spark" role="img" aria-label={label} viewBox={`0 0 ${width} ${HEIGHT}`} width={width} height={HEIGHT}>
      {attempts.map((attempt, index) => {
        const height = Math.round(5 + (HEIGHT - 5) * Math.sqrt(attempt.duration_ms / longest))
        return <rect key={index} class={isSuccess(attempt) ? 'good' : 'bad'} x={index * STEP} y={HEIGHT - height} width="3" height={height} rx="1" />
      })}
    </svg>
  )
}
