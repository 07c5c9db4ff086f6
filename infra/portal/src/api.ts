// The public API, as the page calls it. Types come from the API's own description.
import type { components } from './openapi'

type Schemas = components['schemas']
export type Webhook = Schemas['Webhook']
export type WebhookWithSecret = Schemas['WebhookWithSecret']
export type ChangedWebhook = Schemas['ChangedWebhook']
export type WebhookHealth = Schemas['WebhookHealth']
export type Delivery = Schemas['Delivery']
export type Attempt = Schemas['Attempt']
export type DeliveryStatus = Schemas['DeliveryStatus']
export type OutgoingRequest = Schemas['OutgoingRequest']
export type Event = Schemas['Event']
export type EventWithDeliveries = Schemas['EventWithDeliveries']
export type EventType = Schemas['EventType']
export type Recovery = Schemas['Recovery']
export type Diagnosis = Schemas['SignatureDiagnosis']
export type DryRun = Schemas['DryRun']
export type FilterExplanation = Schemas['FilterExplanation']
export type FilterTest = Schemas['FilterTest']
export type Session = Schemas['PortalSession']
export type Brand = { name: string; accent: string }
export type Page<T> = { data: T[]; next_cursor?: string | null }

type Fault = { pointer: string; detail: string }

/** An answer that is not the one asked for, or none at all. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly faults: Fault[] = [],
  ) {
    super(detail)
  }

  /** What is wrong with the member at `pointer`, or with a part of it. */
  at(pointer: string): string | undefined {
    const found = this.faults.filter((fault) => fault.pointer === `#${pointer}` || fault.pointer.startsWith(`#${pointer}/`))
    return found.length === 0 ? undefined : found.map((fault) => fault.detail).join('; ')
  }
}

let token: string | undefined
let onOver: () => void = () => {}

/** Sets the token of the session, and what to do when the API no longer takes it. */
export function authenticate(text: string | undefined, over: () => void): void {
  token = text
  onOver = over
}

export async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = {}
  if (token) headers['authorization'] = `Bearer ${token}`
  if (body !== undefined) headers['content-type'] = 'application/json'
  let response: Response
  try {
    const sent = body === undefined ? null : JSON.stringify(body)
    response = await fetch(path, { method, headers, body: sent, signal: signal ?? null, cache: 'no-store' })
  } catch (error) {
    if (signal?.aborted) throw error
    throw new Problem(0, 'The server cannot be reached. Check the network and try again.')
  }
  if (response.status === 204) return undefined as T
  const answer: unknown = await response.json().catch(() => ({}))
  if (response.ok) return answer as T
  if (response.status === 401 && token) onOver()
  const { detail, errors } = answer as { detail?: string; errors?: Fault[] }
  throw new Problem(response.status, detail ?? `The server answered ${response.status}.`, errors ?? [])
}

export const get = <T>(path: string, signal?: AbortSignal): Promise<T> => call<T>('GET', path, undefined, signal)
export const post = <T>(path: string, body: unknown = {}): Promise<T> => call<T>('POST', path, body)
export const patch = <T>(path: string, body: unknown): Promise<T> => call<T>('PATCH', path, body)

/** Returns a path with the parameters that have a value. */
export function query(path: string, parameters: Record<string, string | number | null | undefined>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== '')
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()
  return text ? `${path}?${text}` : path
}
