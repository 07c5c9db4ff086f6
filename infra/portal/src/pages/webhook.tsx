// A webhook: what it is, and the tabs about it.
import { type Delivery, type Page, type Webhook, type WebhookHealth, patch } from '../api'
import { useEffect, useRef, useState } from 'preact/hooks'
import { useRefusal, useSession } from '../context'
import { useApi } from '../data'
import { Icon } from '../icon'
import { link } from '../route'
import { CopyButton, DisabledNote, Failed, NoPage, Note, Skeleton, Status, Time } from '../ui'
import { Deliveries } from './deliveries'
import { Overview } from './overview'
import { Recover } from './recover'
import { Rotation } from './secret'
import { Verify } from './verify'
import { type Question, WebhookActions } from './webhook_actions'
import { WebhookForm } from './webhook_form'
import { HeldCount, LastFailure } from './webhooks'

const TABS = [['', 'Overview'], ['deliveries', 'Deliveries'], ['settings', 'Settings'], ['recover', 'Recover'], ['verify', 'Verify']] as const
/** A polled webhook has no deliveries of which anything could be told. */
const POLLED_TABS = ['', 'settings', 'verify']
const LIVE_MS = 5_000

export function WebhookPage({ id, tab, parameters }: { id: string; tab: string; parameters: URLSearchParams }) {
  const { value: webhook, problem, reload, set } = useApi<Webhook>(`/v1/webhooks/${id}`, LIVE_MS)
  const isOff = webhook?.status === 'disabled' && webhook.delivery !== 'poll'
  const held = useApi<Page<Delivery>>(isOff ? `/v1/webhooks/${id}/deliveries?status=held&limit=100` : undefined, LIVE_MS)
  const failed = useApi<Page<Delivery>>(isOff ? `/v1/webhooks/${id}/deliveries?status=failed&limit=100` : undefined, LIVE_MS)
  const health = useApi<WebhookHealth>(isOff || (tab === '' && webhook && webhook.delivery !== 'poll') ? `/v1/webhooks/${id}/health` : undefined, LIVE_MS)
  const [asked, ask] = useState<Question>()
  const refused = useRefusal()
  const isBound = useSession().webhook_id
  if (!webhook) return problem ? <NoPage problem={problem} retry={reload} /> : <Skeleton lines={8} />
  return (
    <>
      {isBound ? null : <nav aria-label="Where you are" class="crumbs"><a href={link('webhooks')}>Webhooks</a><Icon name="chevron" size={12} /></nav>}
      <div class="title tight">
        <h1 class="url">{webhook.url ?? 'Polled webhook'}<Status of={webhook.status} /></h1>
        <WebhookActions webhook={webhook} held={held.value} refused={refused} asked={asked} ask={ask} changed={set} />
      </div>
      {webhook.status === 'disabled' ? (
        <Note tone="bad">
          <DisabledNote webhook={webhook} /> <LastFailure health={health.value} /> <HeldCount held={held.value} failed={failed.value} />{' '}
          {tab === 'recover' ? null : <a href={link('webhooks', id, 'recover')}>Put it right</a>}
        </Note>
      ) : null}
      <div class="meta">
        {webhook.description ? <span>{webhook.description}</span> : null}
        <span><code>{webhook.id}</code><CopyButton text={webhook.id} label="" of="the webhook's id" /></span>
        <span>added&nbsp;<Time at={webhook.created_at} /></span>
        {webhook.expires_at ? <span>deleted by itself&nbsp;<Time at={webhook.expires_at} /></span> : null}
      </div>
      {problem ? <Failed problem={problem} retry={reload} /> : null}
      <Tabs id={id} tab={tab} isPolled={webhook.delivery === 'poll'} />
      {tab === 'deliveries' ? <Deliveries webhook={id} parameters={parameters} /> : null}
      {tab === 'settings' ? <Settings webhook={webhook} refused={refused} changed={set} /> : null}
      {tab === 'recover' ? <Recover webhook={webhook} refused={refused} enable={() => ask('enable')} /> : null}
      {tab === 'verify' ? <Verify webhook={webhook} /> : null}
      {tab === '' ? <Overview webhook={webhook} health={health.value} refused={refused} /> : null}
    </>
  )
}

function Tabs({ id, tab, isPolled }: { id: string; tab: string; isPolled: boolean }) {
  const tabs = isPolled ? TABS.filter(([name]) => POLLED_TABS.includes(name)) : TABS
  const list = useRef<HTMLElement>(null)
  useEffect(() => {
    // On a telephone the list is wider than the page.
    const chosen = list.current?.querySelector<HTMLElement>('[aria-current]')
    if (list.current && chosen) list.current.scrollLeft = chosen.offsetLeft - list.current.offsetLeft - 40
  }, [tab])
  return (
    <nav ref={list} aria-label="About this webhook" class="tabs">
      {tabs.map(([name, label]) => <a key={name} href={name ? link('webhooks', id, name) : link('webhooks', id)} aria-current={tab === name ? 'page' : undefined}>{label}</a>)}
    </nav>
  )
}

function Settings({ webhook, refused, changed }: { webhook: Webhook; refused: string | undefined; changed: (webhook: Webhook) => void }) {
  // The form begins anew after each saving, and only then: what others change meanwhile must not undo what is being typed.
  const [saved, setSaved] = useState(0)
  const save = async (body: Record<string, unknown>) => {
    if (Object.keys(body).length > 0) changed(await patch<Webhook>(`/v1/webhooks/${webhook.id}`, body))
    setSaved((before) => before + 1)
  }
  return (
    <>
      <WebhookForm key={saved} webhook={webhook} refused={refused} label="Save changes" save={save} isSaved={saved > 0} />
      <Rotation webhook={webhook} refused={refused} changed={changed} />
    </>
  )
}
