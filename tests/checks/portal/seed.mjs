// An account as it is after a while: webhooks that work, that fail at times and that are disabled, and events of several kinds.
import { until } from './stage.mjs'

const TYPES = ['resource.created', 'payment.failed', 'user.updated']

/** Fills the account. Returns its webhooks, and the address of each page in the portal. */
export async function seed(hookline, receiver) {
  const { api } = hookline
  let isDown = false
  receiver.answer = (count) => {
    if (isDown) return [503, '<html><script>alert(1)</script>Down for maintenance</html>', 5]
    return count % 9 === 0 ? [500, '{"error":"database is away"}', 40] : [200, '{"ok":true}', 5 + ((count * 7) % 30)]
  }
  const orders = await api('POST', '/v1/webhooks', {
    url: receiver.url,
    events: ['*'],
    description: 'Orders and payments of the shop',
    headers: { 'X-Tenant': 'acme' },
  })
  const long = await api('POST', '/v1/webhooks', {
    url: `${receiver.url}/customers/eu-central-1/${'a-long-path-'.repeat(6)}?name=ünïcödé`,
    events: ['payment.*', 'user.created'],
    filter: { data: { object: { status: ['failed'] } } },
  })
  const polled = await api('POST', '/v1/webhooks', { delivery: 'poll', events: ['resource.*'], description: 'The laptop of Ann' })
  const publish = (number, type) =>
    api('POST', '/v1/events', { type, data: { object: { id: `res_${number}`, name: `Größe ${number}`, status: 'failed', amount: number * 100 } } })
  for (let number = 0; number < 24; number += 1) await publish(number, TYPES[number % TYPES.length])
  const latest = async (webhook) => (await api('GET', `/v1/webhooks/${webhook.id}/deliveries?limit=100`)).data
  await until(async () => (await latest(orders)).every((delivery) => delivery.status === 'delivered'), 'all delivered')
  const retried = (await latest(orders)).find((delivery) => delivery.attempts.length > 1)
  isDown = true
  for (let number = 24; number < 30; number += 1) await publish(number, 'payment.failed')
  await until(async () => (await api('GET', `/v1/webhooks/${long.id}`)).status === 'disabled', 'disabled')
  await until(async () => (await api('GET', `/v1/webhooks/${orders.id}`)).status === 'disabled', 'disabled')
  for (let number = 30; number < 40; number += 1) await publish(number, TYPES[number % TYPES.length])
  isDown = false
  const recovered = await api('PATCH', `/v1/webhooks/${orders.id}`, { status: 'enabled', held: 'recover' })
  const recovery = `/v1/webhooks/${orders.id}/recoveries/${recovered.recovery_id}`
  await until(async () => (await api('GET', recovery)).status === 'done', 'recovered')
  const lost = (await latest(long)).find((delivery) => delivery.status === 'failed')
  const event = (await api('GET', '/v1/events?limit=1')).data[0]
  const of = `/webhooks/${orders.id}`
  const pages = {
    webhooks: '/webhooks',
    new: '/webhooks/new',
    webhook: of,
    disabled: `/webhooks/${long.id}`,
    deliveries: `${of}/deliveries`,
    settings: `${of}/settings`,
    recover: `/webhooks/${long.id}/recover`,
    verify: `${of}/verify`,
    delivery: `/deliveries/${retried.id}`,
    failed: `/deliveries/${lost.id}`,
    events: '/events',
    event: `/events/${event.id}`,
    publish: '/events/new',
    why: '/why',
  }
  return { orders, long, polled, retried, lost, event, pages }
}
