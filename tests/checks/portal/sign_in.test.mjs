// Signing in and out, what stays in the browser, and sessions that may do less.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ask, makeLink, openPortal, show, startBrowser, startHookline, startReceiver } from './stage.mjs'

let hookline, receiver, browser, webhook, other

before(async () => {
  hookline = await startHookline()
  receiver = await startReceiver()
  browser = await startBrowser()
  webhook = await hookline.api('POST', '/v1/webhooks', { url: receiver.url, events: ['*'] })
  other = await hookline.api('POST', '/v1/webhooks', { url: `${receiver.url}/other`, events: ['*'] })
})

after(async () => {
  await browser?.close()
  receiver?.stop()
  await hookline?.stop()
})

test('the code leaves the address, and the session stays in its tab', async () => {
  const { page, context, faults } = await openPortal(browser, hookline)
  assert.ok(!page.url().includes('code='))
  await page.reload()
  await page.getByRole('heading', { name: 'Webhooks', exact: true }).waitFor()
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }) + document.cookie)
  assert.ok(!kept.includes('hls_'), kept)
  const second = await context.newPage()
  await second.goto(`${hookline.url}/portal`)
  await second.getByRole('heading', { name: 'Open this page with a link' }).waitFor()
  assert.deepEqual(faults, [])
  await context.close()
})

test('a link works once', async () => {
  const link = await makeLink(hookline)
  const page = await browser.newPage()
  await page.goto(link)
  await page.locator('header nav').waitFor()
  const second = await browser.newPage()
  await second.goto(link)
  await second.getByRole('heading', { name: 'This link no longer works' }).waitFor()
  await page.close()
  await second.close()
})

test('signing out ends the session on the server too', async () => {
  const { page, context } = await openPortal(browser, hookline)
  const token = await page.evaluate(() => JSON.parse(sessionStorage.getItem('hookline-session')).token)
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor()
  assert.equal(await page.evaluate(() => sessionStorage.length), 0)
  const answer = await ask(`${hookline.url}/v1/webhooks`, { headers: { authorization: `Bearer ${token}` } })
  assert.equal(answer.status, 401)
  await context.close()
})

test('a session that the server could not end goes on, and can be ended by another try', async () => {
  const { page, context } = await openPortal(browser, hookline)
  await context.route('**/v1/portal-sessions', (route) => route.fulfill({ status: 503, json: { detail: 'The store is away.' } }))
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByText('The store is away.').waitFor()
  await context.unrouteAll()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor()
  await context.close()
})

test('another link in the same tab begins its session and ends the one before, and a used one does neither', async () => {
  const used = await makeLink(hookline)
  const other = await browser.newPage()
  await other.goto(used)
  await other.locator('header nav').waitFor()
  await other.close()
  const { page, context } = await openPortal(browser, hookline)
  const token = () => page.evaluate(() => JSON.parse(sessionStorage.getItem('hookline-session')).token)
  const answers = async (token) => (await ask(`${hookline.url}/v1/webhooks`, { headers: { authorization: `Bearer ${token}` } })).status
  const first = await token()
  await page.goto(used)
  await page.getByRole('heading', { name: 'This link no longer works' }).waitFor()
  assert.equal(await answers(first), 200)
  await page.reload()
  await page.locator('header nav').waitFor()
  await page.goto(await makeLink(hookline))
  await page.locator('header nav').waitFor()
  assert.ok(!page.url().includes('code='))
  const second = await token()
  assert.notEqual(second, first)
  assert.deepEqual([await answers(first), await answers(second)], [401, 200])
  await context.close()
})

test('a session that ends elsewhere leads to a page that says so', async () => {
  const { page, context } = await openPortal(browser, hookline)
  const token = await page.evaluate(() => JSON.parse(sessionStorage.getItem('hookline-session')).token)
  await ask(`${hookline.url}/v1/portal-sessions`, { method: 'DELETE', headers: { authorization: `Bearer ${token}` } })
  await page.evaluate(() => { location.hash = '#/events' })
  await page.getByRole('heading', { name: 'Your session is over' }).waitFor()
  assert.equal(await page.evaluate(() => sessionStorage.getItem('hookline-session')), null)
  await context.close()
})

test('the end of a session is announced', async () => {
  const { page, context } = await openPortal(browser, hookline)
  await page.evaluate(() => {
    const session = JSON.parse(sessionStorage.getItem('hookline-session'))
    session.expires_at = new Date(Date.now() + 4 * 60_000).toISOString()
    sessionStorage.setItem('hookline-session', JSON.stringify(session))
  })
  await page.reload()
  await page.getByText('Your session ends in 4 min.').waitFor()
  await context.close()
})

test('a session that only reads has no button that would be refused', async () => {
  const { page, context } = await openPortal(browser, hookline, { link: { read_only: true } })
  await page.getByText('This link only lets you look.').waitFor()
  assert.equal(await page.getByRole('link', { name: 'Add a webhook' }).count(), 0)
  const refused = []
  page.on('response', (response) => { if (response.status() === 403) refused.push(response.url()) })
  for (const [path, names] of [
    [`/webhooks/${webhook.id}`, ['Disable', 'Delete', 'Send a test']],
    [`/webhooks/${webhook.id}/settings`, ['Save changes', 'Rotate the secret', 'End the overlap now']],
    [`/webhooks/${webhook.id}/recover`, ['Recover']],
  ]) {
    await show(page, path)
    for (const name of names) {
      const button = page.getByRole('button', { name, exact: true })
      assert.equal(await button.getAttribute('aria-disabled'), 'true', name)
      assert.match(await button.getAttribute('title'), /look|changed/)
      await button.click({ force: true })
    }
  }
  await show(page, '/events/new')
  await page.getByRole('heading', { name: 'Not allowed' }).waitFor()
  assert.deepEqual(refused, [])
  await context.close()
})

test('a session of one webhook shows that one alone', async () => {
  const { page, context, faults } = await openPortal(browser, hookline, { link: { webhook_id: webhook.id }, path: '/' })
  await page.getByRole('heading', { name: receiver.url }).waitFor()
  await show(page, `/webhooks/${webhook.id}/settings`)
  await page.getByText('cannot change which events that webhook gets').waitFor()
  assert.equal(await page.getByLabel('Filter', { exact: true }).count(), 0)
  await show(page, `/webhooks/${other.id}`)
  await page.getByRole('heading', { name: 'Not found' }).waitFor()
  await show(page, '/events')
  await page.getByRole('heading', { name: 'Events', exact: true }).waitFor()
  assert.deepEqual(faults, [])
  await context.close()
})
