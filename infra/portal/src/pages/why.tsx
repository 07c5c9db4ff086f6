// Why a signature does not hold: takes a request as the receiver saw it, and shows what the API finds.
import { useEffect, useRef, useState } from 'preact/hooks'
import { type Diagnosis, type Page, Problem, type Webhook, post } from '../api'
import { useAction, useApi } from '../data'
import { readRequest } from '../headers'
import { Icon } from '../icon'
import { Button, Failed, Field, Note } from '../ui'

export function WhyPage() {
  const [headers, setHeaders] = useState('')
  const [body, setBody] = useState('')
  const [secret, setSecret] = useState('')
  const [computed, setComputed] = useState('')
  const [webhook, setWebhook] = useState('')
  const [diagnosis, setDiagnosis] = useState<Diagnosis>()
  const webhooks = useApi<Page<Webhook>>('/v1/webhooks?limit=100')
  const { busy, problem, run } = useAction()
  const ask = () =>
    run(async () => {
      setDiagnosis(undefined)
      const read = readRequest(headers)
      if (read === undefined) throw new Problem(422, 'No headers were found.', [{ pointer: '#/headers', detail: 'No line here is a header. Paste lines such as “webhook-id: evt_…”.' }])
      const optional = { ...(secret ? { secret } : {}), ...(computed ? { computed } : {}), ...(webhook ? { webhook_id: webhook } : {}) }
      setDiagnosis(await post<Diagnosis>('/v1/signatures/debug', { headers: read, body, ...optional }))
    })
  const found = useRef<HTMLElement>(null)
  // The button is at the end of a long form, and what it finds is at the top.
  useEffect(() => { if (diagnosis) found.current?.scrollIntoView() }, [diagnosis])
  const isElsewhere = problem?.faults.some((fault) => !/^#\/(headers|body|secret|computed|webhook_id)/.test(fault.pointer))
  return (
    <>
      <div class="title tight"><h1>Why does my signature fail?</h1></div>
      <p class="muted">Paste a request exactly as your receiver saw it. Each signature is computed again, and you read what has happened to it. Code that verifies a signature is on the page of each webhook, under Verify.</p>
      <div class="split">
        <section>
          <form noValidate onSubmit={(event) => { event.preventDefault(); void ask() }}>
            <Field label="Headers" fault={problem?.at('/headers')} hint="Raw lines, the output of curl -v, or a JSON object.">
              {(attributes) => <textarea {...attributes} class="code" rows={8} spellcheck={false} placeholder={'webhook-id: evt_…\nwebhook-timestamp: 1739874900\nwebhook-signature: v1,…'} value={headers} onInput={(event) => setHeaders(event.currentTarget.value)} />}
            </Field>
            <Field label="Body" fault={problem?.at('/body')} hint="Byte for byte: one space more is another body.">
              {(attributes) => <textarea {...attributes} class="code" rows={8} spellcheck={false} value={body} onInput={(event) => setBody(event.currentTarget.value)} />}
            </Field>
            <Field label="Your secret, if it may be the fault" fault={problem?.at('/secret')} hint="It is used for this answer alone, and neither kept nor logged.">
              {(attributes) => <input {...attributes} type="password" autocomplete="off" value={secret} onInput={(event) => setSecret(event.currentTarget.value)} />}
            </Field>
            <Field label="The signature that your code computes, if you have it" fault={problem?.at('/computed')}>
              {(attributes) => <input {...attributes} class="code" autocomplete="off" spellcheck={false} value={computed} onInput={(event) => setComputed(event.currentTarget.value)} />}
            </Field>
            <Field label="Webhook" fault={problem?.at('/webhook_id')}>
              {(attributes) => (
                <select {...attributes} value={webhook} onChange={(event) => setWebhook(event.currentTarget.value)}>
                  <option value="">Any of this account</option>
                  {(webhooks.value?.data ?? []).map((entry) => <option key={entry.id} value={entry.id}>{(entry.url ?? entry.description ?? entry.id).slice(0, 64)}</option>)}
                </select>
              )}
            </Field>
            {problem && (problem.faults.length === 0 || isElsewhere) ? <Failed problem={problem} /> : null}
            <Button type="submit" kind="primary" busy={busy}>Find out</Button>
          </form>
        </section>
        <section ref={found} aria-live="polite" aria-label="What was found">
          {diagnosis ? <Findings diagnosis={diagnosis} /> : <Note tone="plain">What is found appears here. A finding is proven, never guessed: a changed body is turned back into the one that was sent, to the byte.</Note>}
        </section>
      </div>
    </>
  )
}

type Found = { code: string; detail: string; headers: string[] }

/** Findings that say the same of several headers are one. What explains nothing stands last. */
function grouped(findings: Diagnosis['findings']): Found[] {
  const found: Found[] = []
  for (const { code, detail, header } of findings) {
    const same = found.find((one) => one.code === code && one.detail === detail)
    if (same) same.headers.push(header)
    else found.push({ code, detail, headers: [header] })
  }
  const isUnexplained = ({ code }: Found) => Number(code === 'unexplained')
  return found.sort((one, other) => isUnexplained(one) - isUnexplained(other))
}

function Findings({ diagnosis: { valid, findings } }: { diagnosis: Diagnosis }) {
  return (
    <>
      <Note tone={valid ? 'good' : 'bad'}><strong>{valid ? 'Every signature holds.' : 'Not every signature holds.'}</strong></Note>
      <ul class="rows">
        {grouped(findings).map((finding, index) => {
          const isGood = finding.code === 'valid'
          return (
            <li key={index} class="finding">
              <div class="row"><span class={`outcome ${isGood ? 'good-text' : 'bad-text'}`}><Icon name={isGood ? 'check' : 'cross'} size={12} /><strong>{finding.code.replaceAll('_', ' ')}</strong></span>{finding.headers.map((header) => <code key={header} class="muted">{header}</code>)}</div>
              <p>{finding.detail}</p>
            </li>
          )
        })}
      </ul>
    </>
  )
}
