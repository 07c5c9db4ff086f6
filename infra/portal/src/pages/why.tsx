// Why a signature does not hold: takes a request as the receiver saw it, and shows what the API finds.
import { useState } from 'preact/hooks'
import { type Diagnosis, Problem, post } from '../api'
import { useAction } from '../data'
import { Button, Failed, Field } from '../ui'

/** Reads headers as they are copied: raw lines, the lines of `curl -v`, or a JSON object. */
export function readHeaders(text: string): Record<string, string | string[]> {
  const trimmed = text.trim()
  if (trimmed.startsWith('{')) {
    try {
      return JSON.parse(trimmed) as Record<string, string | string[]>
    } catch {
      throw new Problem(422, 'The headers are not JSON.', [{ pointer: '#/headers', detail: 'are not JSON' }])
    }
  }
  const headers: Record<string, string | string[]> = {}
  for (const line of trimmed.split('\n')) {
    const found = /^[<>*\s]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s?(.*)$/.exec(line.replace(/\r$/, ''))
    if (!found) continue
    const [, name = '', value = ''] = found
    const before = headers[name]
    headers[name] = before === undefined ? value : [before, value].flat()
  }
  return headers
}

export function WhyPage() {
  const [headers, setHeaders] = useState('')
  const [body, setBody] = useState('')
  const [secret, setSecret] = useState('')
  const [diagnosis, setDiagnosis] = useState<Diagnosis>()
  const { busy, problem, run } = useAction()
  const ask = () =>
    run(async () => {
      setDiagnosis(undefined)
      setDiagnosis(await post<Diagnosis>('/v1/signatures/debug', { headers: readHeaders(headers), body, ...(secret ? { secret } : {}) }))
    })
  return (
    <>
      <h1>Why does my signature fail?</h1>
      <p>Paste a request exactly as your receiver saw it. Each signature is recomputed, and you read what happened to it.</p>
      <form onSubmit={(event) => { event.preventDefault(); void ask() }}>
        <Field label="Headers" fault={problem?.at('/headers')} hint="Lines such as “webhook-id: evt_…”, the output of curl -v, or a JSON object.">
          {(attributes) => <textarea {...attributes} class="code" rows={8} spellcheck={false} value={headers} onInput={(event) => setHeaders(event.currentTarget.value)} />}
        </Field>
        <Field label="Body" fault={problem?.at('/body')} hint="Byte for byte: a space more is another body.">
          {(attributes) => <textarea {...attributes} class="code" rows={8} spellcheck={false} value={body} onInput={(event) => setBody(event.currentTarget.value)} />}
        </Field>
        <Field label="Your secret, if you want it tried" fault={problem?.at('/secret')} hint="It is used for this answer alone, and neither kept nor logged.">
          {(attributes) => <input {...attributes} type="password" autocomplete="off" value={secret} onInput={(event) => setSecret(event.currentTarget.value)} />}
        </Field>
        <Button type="submit" kind="primary" busy={busy}>Find out</Button>
      </form>
      {problem ? <Failed problem={problem} /> : null}
      <div aria-live="polite">
        {diagnosis ? (
          <section>
            <h2>{diagnosis.valid ? <span class="good-text">✓ Every signature holds</span> : <span class="bad-text">✕ Not every signature holds</span>}</h2>
            <ul class="plain lines">
              {diagnosis.findings.map((finding, index) => (
                <li key={index} class="finding"><code>{finding.header}</code> <strong>{finding.code}</strong><p>{finding.detail}</p></li>
              ))}
            </ul>
          </section>
        ) : null}
      </div>
    </>
  )
}
