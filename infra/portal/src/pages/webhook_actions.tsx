// Enabling, disabling and deleting a webhook, each after a question.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { type ChangedWebhook, type Delivery, type Page, type Webhook, call, patch } from '../api'
import { useAction } from '../data'
import { go } from '../route'
import { Button, Dialog, Failed } from '../ui'
import { HeldCount } from './webhooks'

type Properties = { webhook: Webhook; held: Page<Delivery> | undefined; refused: string | undefined; changed: (webhook: Webhook) => void }

export function WebhookActions({ webhook, held, refused, changed }: Properties) {
  const [asked, setAsked] = useState<'enable' | 'disable' | 'delete'>()
  const action = useAction()
  const path = `/v1/webhooks/${webhook.id}`
  const isPolled = webhook.delivery === 'poll'
  const change = (body: unknown) =>
    action.run(async () => {
      const answer = await patch<ChangedWebhook>(path, body)
      changed(answer)
      setAsked(undefined)
      if (answer.recovery_id) go('webhooks', webhook.id, 'recover')
    })
  const remove = () =>
    action.run(async () => {
      await call('DELETE', path)
      go('webhooks')
    })
  const close = () => {
    setAsked(undefined)
    action.clear()
  }
  const enabled = isPolled ? { status: 'enabled' } : { status: 'enabled', held: 'recover' }
  const ask = (title: string, text: ComponentChildren, choices: ComponentChildren) => (
    <Dialog title={title} onClose={close}>
      <p>{text}</p>
      {action.problem ? <Failed problem={action.problem} /> : null}
      <div class="row"><Button onClick={close}>Keep it as it is</Button>{choices}</div>
    </Dialog>
  )
  return (
    <div class="row">
      {webhook.status === 'disabled'
        ? <Button kind="primary" refused={refused} onClick={() => setAsked('enable')}>Enable</Button>
        : <Button refused={refused} onClick={() => setAsked('disable')}>Disable</Button>}
      <Button kind="danger" refused={refused} onClick={() => setAsked('delete')}>Delete</Button>
      {asked === 'enable' ? ask(
        'Enable this webhook?',
        isPolled ? 'It can be polled again.' : <>Events that were published while it was disabled are held. <HeldCount held={held} /> Send them now, oldest first, or cancel them?</>,
        <>
          {isPolled ? null : <Button kind="danger" busy={action.busy} onClick={() => void change({ status: 'enabled', held: 'cancel' })}>Enable and cancel them</Button>}
          <Button kind="primary" busy={action.busy} onClick={() => void change(enabled)}>{isPolled ? 'Enable' : 'Enable and send them'}</Button>
        </>,
      ) : null}
      {asked === 'disable' ? ask(
        'Disable this webhook?',
        isPolled ? 'It cannot be polled until it is enabled again.' : 'Nothing is sent until it is enabled again. Events that are published meanwhile are held.',
        <Button kind="primary" busy={action.busy} onClick={() => void change({ status: 'disabled' })}>Disable</Button>,
      ) : null}
      {asked === 'delete' ? ask(
        'Delete this webhook?',
        'What is pending for it is cancelled. It cannot be brought back.',
        <Button kind="danger" busy={action.busy} onClick={() => void remove()}>Delete</Button>,
      ) : null}
    </div>
  )
}
