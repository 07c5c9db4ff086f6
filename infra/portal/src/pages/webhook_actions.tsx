// Enabling, disabling and deleting a webhook, each after a question.
import type { ComponentChildren } from 'preact'
import { type ChangedWebhook, type Delivery, type Page, type Webhook, call, patch } from '../api'
import { useAction } from '../data'
import { go } from '../route'
import { Button, Dialog, Failed } from '../ui'
import { HeldCount } from './webhooks'

/** What is asked before anything is done, or nothing. */
export type Question = 'enable' | 'discard' | 'disable' | 'delete' | undefined

type Properties = {
  webhook: Webhook
  held: Page<Delivery> | undefined
  refused: string | undefined
  asked: Question
  ask: (question: Question) => void
  changed: (webhook: Webhook) => void
}

export function WebhookActions({ webhook, held, refused, asked, ask, changed }: Properties) {
  const action = useAction()
  const path = `/v1/webhooks/${webhook.id}`
  const isPolled = webhook.delivery === 'poll'
  const change = (body: unknown) =>
    action.run(async () => {
      const answer = await patch<ChangedWebhook>(path, body)
      changed(answer)
      ask(undefined)
      if (answer.recovery_id) go('webhooks', webhook.id, 'recover')
    })
  const remove = () =>
    action.run(async () => {
      await call('DELETE', path)
      go('webhooks')
    })
  const close = () => {
    ask(undefined)
    action.clear()
  }
  const enabled = isPolled ? { status: 'enabled' } : { status: 'enabled', held: 'recover' }
  // The key makes another question another dialog.
  const question = (title: string, text: ComponentChildren, choices: ComponentChildren) => (
    <Dialog key={title} title={title} onClose={close}>
      {text}
      {action.problem ? <Failed problem={action.problem} /> : null}
      <div class="row">{choices}</div>
    </Dialog>
  )
  const later = <Button onClick={close}>Not now</Button>
  return (
    <div class="row">
      {webhook.status === 'disabled'
        ? <Button kind="primary" refused={refused} onClick={() => ask('enable')}>Enable</Button>
        : <Button refused={refused} onClick={() => ask('disable')}>Disable</Button>}
      <Button kind="danger" refused={refused} onClick={() => ask('delete')}>Delete</Button>
      {asked === 'enable' ? question(
        'Enable this webhook?',
        isPolled ? <p>It can be polled again.</p> : (
          <>
            <p>Events that were published while it was disabled are held. <HeldCount held={held} /> They are sent now, oldest first.</p>
            <p>Deliveries that had failed before stay as they are. You can send them again on the next page.</p>
          </>
        ),
        <>
          {isPolled ? null : <Button kind="danger" busy={action.busy} onClick={() => { action.clear(); ask('discard') }}>Discard what is held…</Button>}
          <span class="push" />
          {later}
          <Button kind="primary" busy={action.busy} onClick={() => void change(enabled)}>{isPolled ? 'Enable' : 'Enable and send'}</Button>
        </>,
      ) : null}
      {asked === 'discard' ? question(
        'Enable it, and send nothing of what is held?',
        <p><HeldCount held={held} /> Held events become cancelled, and no recovery sends a cancelled one.</p>,
        <>{later}<Button kind="danger" busy={action.busy} onClick={() => void change({ status: 'enabled', held: 'cancel' })}>Enable and discard</Button></>,
      ) : null}
      {asked === 'disable' ? question(
        'Disable this webhook?',
        <p>{isPolled ? 'It cannot be polled until it is enabled again.' : 'Nothing is sent until it is enabled again. Events that are published meanwhile are held.'}</p>,
        <>{later}<Button kind="primary" busy={action.busy} onClick={() => void change({ status: 'disabled' })}>Disable</Button></>,
      ) : null}
      {asked === 'delete' ? question(
        'Delete this webhook?',
        <p>What is pending for it is cancelled. It cannot be brought back.</p>,
        <>{later}<Button kind="danger" busy={action.busy} onClick={() => void remove()}>Delete</Button></>,
      ) : null}
    </div>
  )
}
