// What `Authorization` carries.
import type { Problem } from '../api'
import { Field } from '../ui'
import type { AuthDraft } from './draft'

type Member = Exclude<keyof AuthDraft, 'type'>
type Properties = { auth: AuthDraft; problem: Problem | undefined; change: (auth: AuthDraft) => void }

const MEMBERS: Record<AuthDraft['type'], [Member, string][]> = {
  '': [],
  basic: [['username', 'User name'], ['password', 'Password']],
  bearer: [['token', 'Token']],
  oauth2: [['token_url', 'Token URL'], ['client_id', 'Client id'], ['client_secret', 'Client secret'], ['scope', 'Scope, if any']],
}
const SECRET: Member[] = ['password', 'token', 'client_secret']

export function AuthField({ auth, problem, change }: Properties) {
  const members = MEMBERS[auth.type]
  // A fault of the whole, such as a missing member, has no field of its own.
  const whole = problem?.faults.filter((fault) => fault.pointer.startsWith('#/auth') && !members.some(([name]) => fault.pointer === `#/auth/${name}`)) ?? []
  return (
    <>
      <Field label="Authentication" fault={whole.map((fault) => fault.detail).join('; ') || undefined} hint={auth.type === '' ? 'How requests authenticate at your receiver, beside their signature.' : 'A stored secret stays as it is until you enter another one.'}>
        {(attributes) => (
          <select {...attributes} value={auth.type} onChange={(event) => change({ ...auth, type: event.currentTarget.value as AuthDraft['type'] })}>
            <option value="">None</option>
            <option value="basic">User name and password (Basic)</option>
            <option value="bearer">Token (Bearer)</option>
            <option value="oauth2">OAuth 2 client credentials</option>
          </select>
        )}
      </Field>
      {members.length > 0 ? (
        <div class="inset two">
          {members.map(([name, label]) => (
            <Field key={name} label={label} fault={problem?.at(`/auth/${name}`)}>
              {(attributes) => {
                const own = { ...attributes, autocomplete: 'off', spellcheck: false, value: auth[name], onInput: (event: { currentTarget: { value: string } }) => change({ ...auth, [name]: event.currentTarget.value }) }
                return SECRET.includes(name) ? <input {...own} type="password" /> : <input {...own} />
              }}
            </Field>
          ))}
        </div>
      ) : null}
    </>
  )
}
