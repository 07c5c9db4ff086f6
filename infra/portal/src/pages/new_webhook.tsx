// Registers a webhook, and shows its secret once.
import { useState } from 'preact/hooks'
import { type WebhookWithSecret, post } from '../api'
import { useRefusal } from '../context'
import { Icon } from '../icon'
import { go, link } from '../route'
import { SecretDialog } from './secret'
import { WebhookForm } from './webhook_form'

export function NewWebhookPage() {
  const [made, setMade] = useState<WebhookWithSecret>()
  const refused = useRefusal()
  return (
    <>
      <nav aria-label="Where you are" class="crumbs"><a href={link('webhooks')}>Webhooks</a><Icon name="chevron" size={12} /></nav>
      <div class="title"><h1>Add a webhook</h1></div>
      <WebhookForm label="Add the webhook" refused={refused} save={async (body) => setMade(await post<WebhookWithSecret>('/v1/webhooks', body))} />
      {made ? <SecretDialog webhook={made} onClose={() => go('webhooks', made.id)} /> : null}
    </>
  )
}
