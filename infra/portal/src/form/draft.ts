// What the form of a webhook holds while it is edited, and the body of the request that it becomes.
import { Problem, type Webhook } from '../api'
import { written } from '../text'

export type Pair = { name: string; value: string }
export type Signature = { name: string; content: string; value: string }
export type AuthDraft = { type: '' | 'basic' | 'bearer' | 'oauth2' } & Record<'username' | 'password' | 'token' | 'token_url' | 'client_id' | 'client_secret' | 'scope', string>

export type Draft = {
  delivery: 'push' | 'poll'
  url: string
  events: string[]
  description: string
  secret: string
  filter: string
  headers: Pair[]
  auth: AuthDraft
  signature_header: Signature | undefined
  retry_schedule: string
  timeout_seconds: string
  rate_limit: string
  disable_on: 'failed_delivery' | 'no_success'
  auto_recover: boolean
}

const NO_AUTH: AuthDraft = { type: '', username: '', password: '', token: '', token_url: '', client_id: '', client_secret: '', scope: '' }

export function draftOf(webhook: Webhook | undefined): Draft {
  return {
    delivery: webhook?.delivery ?? 'push',
    url: webhook?.url ?? '',
    events: webhook?.events ?? [],
    description: webhook?.description ?? '',
    secret: '',
    filter: webhook?.filter ? written(webhook.filter) : '',
    headers: Object.entries(webhook?.headers ?? {}).map(([name, value]) => ({ name, value })),
    auth: webhook?.auth ? ({ ...NO_AUTH, ...withoutNulls(webhook.auth) } as AuthDraft) : NO_AUTH,
    signature_header: webhook?.signature_header ?? undefined,
    retry_schedule: webhook?.retry_schedule?.join(', ') ?? '',
    timeout_seconds: webhook?.timeout_seconds?.toString() ?? '',
    rate_limit: webhook?.rate_limit?.toString() ?? '',
    disable_on: webhook?.disable_on ?? 'failed_delivery',
    auto_recover: webhook?.auto_recover ?? true,
  }
}

const withoutNulls = (value: object): object => Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null))

/** What only a webhook with a URL takes. */
const PUSHED = ['url', 'headers', 'auth', 'retry_schedule', 'timeout_seconds', 'rate_limit', 'disable_on', 'auto_recover']

/** Returns the members that differ from `before`: of a new webhook, those that are not the defaults. Others stay as they are. */
export function bodyOf(draft: Draft, before: Draft, isNew: boolean): Record<string, unknown> {
  const names = (Object.keys(draft) as (keyof Draft)[]).filter((name) => {
    const isDue = JSON.stringify(draft[name]) !== JSON.stringify(before[name]) || (isNew && (name === 'url' || name === 'events'))
    return isDue && !(draft.delivery === 'poll' && PUSHED.includes(name))
  })
  return Object.fromEntries(names.map((name) => [name, memberOf(draft, name)]))
}

function memberOf(draft: Draft, name: keyof Draft): unknown {
  switch (name) {
    case 'url':
      return draft.url.trim()
    case 'description':
      return draft.description || null
    case 'filter':
      return json(draft.filter)
    case 'headers': {
      const named = draft.headers.filter((pair) => pair.name || pair.value)
      return named.length === 0 ? null : Object.fromEntries(named.map((pair) => [pair.name.trim(), pair.value]))
    }
    case 'auth':
      return authOf(draft.auth)
    case 'signature_header':
      return draft.signature_header ?? null
    case 'retry_schedule':
      return draft.retry_schedule.trim() === '' ? null : draft.retry_schedule.split(',').map((wait) => wait.trim())
    case 'timeout_seconds':
    case 'rate_limit':
      return number(draft[name])
    default:
      return draft[name]
  }
}

function authOf(auth: AuthDraft): unknown {
  switch (auth.type) {
    case 'basic':
      return { type: 'basic', username: auth.username, password: auth.password }
    case 'bearer':
      return { type: 'bearer', token: auth.token }
    case 'oauth2':
      return { type: 'oauth2', token_url: auth.token_url, client_id: auth.client_id, client_secret: auth.client_secret, ...(auth.scope ? { scope: auth.scope } : {}) }
    default:
      return null
  }
}

/** A text that is no number is sent as it is, so that the API says what is wrong with it. */
function number(text: string): number | string | null {
  if (text.trim() === '') return null
  return Number.isFinite(Number(text)) ? Number(text) : text
}

function json(text: string): unknown {
  if (text.trim() === '') return null
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new Problem(422, 'The filter is not JSON.', [{ pointer: '#/filter', detail: `This is not JSON: ${(error as Error).message}.` }])
  }
}
