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

const HOUR_S = 3_600

/**
 * A moment as a list shows it: how long ago while that is less than an hour, or how far ahead, and otherwise the date and the time of day,
 * which can be found in a log.
 */
export function moment(time: string, now: number): string {
  const seconds = (now - Date.parse(time)) / 1000
  return seconds < HOUR_S ? ago(time, now) : short(time, now)
}

/** A date and a time of day to the second. The year is left out if it is the present one. */
export function short(time: string, now = Date.now()): string {
  const date = new Date(time)
  const year = date.getFullYear() === new Date(now).getFullYear() ? {} : { year: 'numeric' as const }
  return date.toLocaleString(undefined, { ...year, month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
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
  return attempt.status_code ? String(attempt.status_code) : 'under way'
}

/** The most characters that are laid out as JSON: more would stop the page for a noticeable time. */
export const LAID_OUT_MAX = 64 * 1024

/**
 * Lays JSON out, unless it is long or is not JSON. Only white space is added: numbers and escapes stay as they were written, which
 * `JSON.parse` would lose.
 */
export function laidOut(text: string): string | undefined {
  if (text.length > LAID_OUT_MAX || !isJson(text)) return undefined
  let depth = 0
  const line = () => `\n${'  '.repeat(depth)}`
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? []
  return tokens
    .map((token, index) => {
      const isEmpty = '}]'.includes(tokens[index + 1] ?? '_')
      if (token === '{' || token === '[') {
        if (isEmpty) return token
        depth += 1
        return token + line()
      }
      if (token === '}' || token === ']') {
        if ('{['.includes(tokens[index - 1] ?? '_')) return token
        depth -= 1
        return line() + token
      }
      return token === ',' ? token + line() : token === ':' ? ': ' : token
    })
    .join('')
}

const LINE_MAX = 72

/** Writes JSON for people who edit it: what fits on a line stays on one. */
export function written(value: unknown, indent = ''): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const isList = Array.isArray(value)
  const inner = `${indent}  `
  const parts = (indent: string) =>
    Object.entries(value).map(([name, member]) => (isList ? '' : `${JSON.stringify(name)}: `) + written(member, indent))
  const [open, close] = isList ? ['[', ']'] : ['{ ', ' }']
  const line = `${open}${parts('').join(', ')}${close}`
  if (indent.length + line.length <= LINE_MAX && !line.includes('\n')) return parts('').length === 0 ? line.replace('  ', '') : line
  return `${open.trim()}\n${parts(inner).map((part) => inner + part).join(',\n')}\n${indent}${close.trim()}`
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

export function bytes(text: string): string {
  const count = new TextEncoder().encode(text).length
  return count < 1024 ? `${count} B` : `${(count / 1024).toFixed(1)} KiB`
}
