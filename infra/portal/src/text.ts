// Numbers, times and payloads as people read them.
import type { Attempt } from './api'

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
]

export function ago(time: string, now: number): string {
  const seconds = Math.round((Date.parse(time) - now) / 1000)
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit)
  }
  return relative.format(seconds, 'second')
}

export const exact = (time: string): string =>
  new Date(time).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

export const milliseconds = (value: number): string =>
  value < 1000 ? `${value} ms` : `${(value / 1000).toFixed(value < 10_000 ? 1 : 0)} s`

export const percent = (share: number): string => `${(share * 100).toFixed(share > 0.99 && share < 1 ? 1 : 0)} %`

export const seconds = (value: number): string => {
  for (const [unit, length] of UNITS) if (value >= length && value % length === 0) return `${value / length} ${unit}${value === length ? '' : 's'}`
  return `${value} s`
}

export const isSuccess = (attempt: Attempt): boolean =>
  attempt.status_code !== null && attempt.status_code !== undefined && attempt.status_code >= 200 && attempt.status_code < 300

/** What became of an attempt, in a few words. */
export function outcome(attempt: Attempt): string {
  if (attempt.error) return attempt.error.replaceAll('_', ' ')
  return attempt.status_code ? `HTTP ${attempt.status_code}` : 'under way'
}

/** The most characters that are laid out as JSON. */
const PRETTY_MAX = 64 * 1024

/** Lays JSON out, unless it is long or is not JSON. */
export function pretty(text: string): string | undefined {
  if (text.length > PRETTY_MAX) return undefined
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return undefined
  }
}
