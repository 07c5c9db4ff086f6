// One more signature, in a form that a receiver verifies already.
import type { Problem } from '../api'
import { Field } from '../ui'
import type { Signature } from './draft'

const FORMS: Record<string, Signature> = {
  GitHub: { name: 'X-Hub-Signature-256', content: '{body}', value: 'sha256={hex}' },
  Stripe: { name: 'Stripe-Signature', content: '{timestamp}.{body}', value: 't={timestamp},v1={hex}' },
  Shopify: { name: 'X-Shopify-Hmac-SHA256', content: '{body}', value: '{base64}' },
}
const OWN: Signature = { name: 'X-My-Signature', content: '{body}', value: '{hex}' }
const MEMBERS: [keyof Signature, string, string][] = [
  ['name', 'Name of the header', ''],
  ['content', 'What is signed', '{body}, {id} and {timestamp} are filled in'],
  ['value', 'Value of the header', '{hex}, {base64} and {timestamp} are filled in'],
]

type Properties = { signature: Signature | undefined; problem: Problem | undefined; change: (signature: Signature | undefined) => void }

export function SignatureField({ signature, problem, change }: Properties) {
  const form = signature ? (Object.keys(FORMS).find((name) => JSON.stringify(FORMS[name]) === JSON.stringify(signature)) ?? 'own') : ''
  return (
    <>
      <Field label="One more signature" fault={signature ? undefined : problem?.at('/signature_header')} hint="Beside X-Webhook-Signature and webhook-signature, in a form that your receiver verifies already.">
        {(attributes) => (
          <select {...attributes} value={form} onChange={(event) => change(event.currentTarget.value === '' ? undefined : (FORMS[event.currentTarget.value] ?? { ...OWN }))}>
            <option value="">None</option>
            {Object.keys(FORMS).map((name) => <option key={name} value={name}>As {name} signs</option>)}
            <option value="own">My own form</option>
          </select>
        )}
      </Field>
      {signature ? (
        <div class="inset">
          {MEMBERS.map(([name, label, hint]) => (
            <Field key={name} label={label} hint={hint || undefined} fault={problem?.at(`/signature_header/${name}`)}>
              {(attributes) => <input {...attributes} class="code" autocomplete="off" spellcheck={false} value={signature[name]} onInput={(event) => change({ ...signature, [name]: event.currentTarget.value })} />}
            </Field>
          ))}
        </div>
      ) : null}
    </>
  )
}
