// How a receiver verifies requests, in four languages, with the names of this webhook's headers.
import { useState } from 'preact/hooks'
import type { Webhook } from '../api'
import { Raw } from '../raw'
import { link } from '../route'
import { type BodySignature, LANGUAGES, type Language, OF_BODY, STANDARD } from '../receiver_code'

const BODY: BodySignature = { name: 'X-Webhook-Signature', prefix: '', encoding: 'hex' }

/** The webhook's own signature, if it is one of the body alone, for which there is code. */
function ownOf(webhook: Webhook): BodySignature | undefined {
  const own = webhook.signature_header
  const [, prefix = '', encoding] = /^([^{}]*)\{(hex|base64)\}$/.exec(own?.value ?? '') ?? []
  if (!own || own.content !== '{body}' || (encoding !== 'hex' && encoding !== 'base64')) return undefined
  return { name: own.name, prefix, encoding }
}

export function Verify({ webhook }: { webhook: Webhook }) {
  const [language, setLanguage] = useState<Language>('Python')
  const [header, setHeader] = useState('webhook-signature')
  const own = ownOf(webhook)
  const signatures = [BODY, ...(own ? [own] : [])]
  const chosen = signatures.find((signature) => signature.name === header)
  const code = chosen ? OF_BODY[language](chosen) : STANDARD[language]
  return (
    <>
      <p>Anyone can send a request to your URL. Only the signing secret proves where one comes from: verify it over the bytes of the body, before anything parses them. The secret was shown once, when the webhook was added or its secret was rotated. If it is lost, <a href={link('webhooks', webhook.id, 'settings')}>rotate it</a>.</p>
      <div class="row filters">
        <label class="row">Header
          <select value={header} onChange={(event) => setHeader(event.currentTarget.value)}>
            <option value="webhook-signature">webhook-signature (recommended: covers the time too)</option>
            {signatures.map(({ name }) => <option key={name} value={name}>{name}</option>)}
          </select>
        </label>
        <span class="segments" role="group" aria-label="Language">
          {LANGUAGES.map((name) => <button key={name} type="button" aria-pressed={name === language} onClick={() => setLanguage(name)}>{name}</button>)}
        </span>
      </div>
      <Raw key={`${language} ${header}`} isCode text={code} label={`${language}, ${header}`} />
      <p class="muted">{chosen ? 'The key is the text of the secret, with whsec_ if it begins so.' : 'The published libraries of Standard Webhooks verify it too.'} If a signature does not hold, <a href="#/why">find out why</a>.</p>
      <section>
        <h2>The headers of each request</h2>
        <HeaderTable webhook={webhook} />
      </section>
    </>
  )
}

function HeaderTable({ webhook }: { webhook: Webhook }) {
  const own = webhook.signature_header
  const rows: [string, preact.ComponentChildren][] = [
    ['webhook-id', "The event's id, the same in every attempt: use it to notice repeats."],
    ['webhook-timestamp', 'When the attempt began, in seconds since 1970: refuse old ones.'],
    ['webhook-signature', 'For each valid secret, v1, and the base64 HMAC-SHA256 of id, time and body.'],
    ['X-Webhook-Signature', 'HMAC-SHA256 of the body, in lowercase hex.'],
    ...(own ? [[own.name, <>Your own: <code>{own.value}</code>, which signs <code>{own.content}</code>.</>] as [string, preact.ComponentChildren]] : []),
    ['X-Webhook-Event', 'The type of the event.'],
    ['X-Webhook-Attempt', 'The number of the attempt, from 1.'],
    ...Object.keys(webhook.headers ?? {}).map((name): [string, string] => [name, 'A header of yours.']),
    ...(webhook.auth ? [['Authorization', 'What the settings say under Authentication.'] as [string, string]] : []),
  ]
  return <table class="headers"><tbody>{rows.map(([name, text]) => <tr key={name}><th scope="row"><code>{name}</code></th><td>{text}</td></tr>)}</tbody></table>
}
