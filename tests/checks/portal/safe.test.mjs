// Whatever a receiver answers or a user types is text.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openPortal, show, startBrowser, startHookline, startReceiver, until } from './stage.mjs'

const HOSTILE = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script><svg onload="window.hurt=1">"\'`${window.hurt=1}{{7*7}}</textarea>'

let hookline, receiver, browser

before(async () => {
  hookline = await startHookline('--retry-schedule', '0s')
  receiver = await startReceiver()
  browser = await startBrowser()
})

after(async () => {
  await browser?.close()
  receiver?.stop()
  await hookline?.stop()
})

test('hostile answers, payloads, descriptions and settings run no script', async () => {
  receiver.answer = () => [500, HOSTILE]
  const webhook = await hookline.api('POST', '/v1/webhooks', {
    url: `${receiver.url}?q=javascript:alert(1)//%3Cscript%3E`,
    events: ['*'],
    description: HOSTILE,
    signature_header: { name: 'X-Own', content: '{body}', value: '<script>{hex}' },
    filter: { $or: [{ data: { object: { name: [{ exists: true }] } } }, { data: { object: { '<img src=x onerror=hurt=1>': [HOSTILE] } } }] },
  })
  const event = await hookline.api('POST', '/v1/events', { type: 'user.created', data: { object: { name: HOSTILE, __proto__: { x: 1 } } } })
  const delivery = await until(async () => (await hookline.api('GET', `/v1/webhooks/${webhook.id}/deliveries?status=failed`)).data[0], 'a failed delivery')
  const { page, context, faults } = await openPortal(browser, hookline, { link: { publish: true } })
  const of = `/webhooks/${webhook.id}`
  for (const path of ['/webhooks', of, `${of}/deliveries`, `${of}/settings`, `${of}/recover`, `${of}/verify`, `/deliveries/${delivery.id}`, `/events/${event.id}`, '/events']) {
    await show(page, path)
    assert.equal(await page.evaluate(() => window.hurt), undefined, path)
    assert.equal(await page.locator('main img, main script, main [onerror], main [onload]').count(), 0, path)
    assert.equal(await page.locator('a[href^="javascript:"]').count(), 0, path)
  }
  await show(page, `/deliveries/${delivery.id}`)
  assert.ok((await page.getByRole('region', { name: 'Answer to attempt 1' }).textContent()).includes('<script>window.hurt=1</script>'))
  await show(page, '/%3Cimg%20src=x%20onerror=hurt=1%3E')
  await show(page, '/webhooks/%E0%A4%A')
  assert.equal(await page.evaluate(() => window.hurt), undefined)
  assert.deepEqual(faults, [])
  await context.close()
})

test('the page loads nothing from elsewhere, and its policy permits nothing from elsewhere', async () => {
  const { page, context } = await openPortal(browser, hookline)
  const hosts = new Set()
  page.on('request', (request) => { if (!request.url().startsWith('data:')) hosts.add(new URL(request.url()).origin) })
  const answer = await page.reload()
  await page.locator('main h1').waitFor()
  assert.deepEqual([...hosts], [hookline.url])
  const policy = answer.headers()['content-security-policy']
  for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'"]) {
    assert.ok(policy.includes(part), policy)
  }
  assert.doesNotMatch(policy, /unsafe/)
  await context.close()
})
