// Texts from outside, shown as they are: as text nodes, never as HTML, and a large one in parts.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { LAID_OUT_MAX, bytes, laidOut } from './text'
import { CopyButton } from './ui'

/** The most characters that are shown at first, and the most that each click adds: a quarter of a megabyte at once would stop the page. */
const PART = 8_000

/** `name` is the label for those who do not see what stands around it, if the label alone is not enough. */
type Properties = { text: string; label: string; name?: string; isCode?: boolean; children?: ComponentChildren }

export function Raw({ text, label, name = label, isCode, children }: Properties) {
  const [shown, setShown] = useState(PART)
  const isCut = text.length > shown
  return (
    <div class="raw">
      <div class="raw-bar">
        <span>{label} <span class="muted numbers">{bytes(text)}</span></span>
        <span class="row">{children}<CopyButton text={text} of={name} /></span>
      </div>
      <pre class={isCode ? 'lines' : undefined} tabIndex={0} role="region" aria-label={name}>{isCut ? text.slice(0, shown) : text}</pre>
      {isCut ? (
        <div class="raw-bar more">
          <span class="muted numbers">{shown.toLocaleString('en')} of {text.length.toLocaleString('en')} characters</span>
          <button type="button" class="quiet" onClick={() => setShown(shown + 4 * PART)}>Show more</button>
        </div>
      ) : null}
    </div>
  )
}

/** A payload: laid out for people, or the exact bytes that are signed. */
export function Payload({ text, label }: { text: string; label: string }) {
  const pretty = laidOut(text)
  const [isExact, setExact] = useState(false)
  const showsExact = isExact || pretty === undefined
  return (
    <>
      <Raw key={String(showsExact)} text={showsExact ? text : pretty} label={label}>
        <span class="segments" role="group" aria-label="How it is shown">
          <button type="button" aria-pressed={!showsExact} disabled={pretty === undefined} onClick={() => setExact(false)}>Laid out</button>
          <button type="button" aria-pressed={showsExact} onClick={() => setExact(true)}>Exact bytes</button>
        </span>
      </Raw>
      {text.length > LAID_OUT_MAX ? <p class="hint">Payloads of more than {LAID_OUT_MAX / 1024} KiB are shown as exact bytes only.</p> : null}
    </>
  )
}
