// Accessibility: axe on every page in both themes, the keyboard alone, telephones.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { seed } from './seed.mjs'
import { openPortal, show, startBrowser, startHookline, startReceiver } from './stage.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
let hookline, receiver, browser, seeded

before(async () => {
  hookline = await startHookline('--retry-schedule', '0s,1s,1s')
  receiver = await startReceiver()
  browser = await startBrowser()
  seeded = await seed(hookline, receiver)
})

after(async () => {
  await browser?.close()
  receiver?.stop()
  await hookline?.stop()
})

/** What axe has against the page as it is. It runs beside the page's scripts, which the policy of the page does not stop. */
async function violations(page) {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.any[0]?.message ?? ''}`).join(' | ')}`)
}

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing on any page, ${colorScheme}`, async () => {
    const { page, context, faults } = await openPortal(browser, hookline, { link: { publish: true }, colorScheme })
    for (const [name, path] of Object.entries(seeded.pages)) {
      await show(page, path)
      assert.deepEqual(await violations(page), [], name)
    }
    await show(page, `/webhooks/${seeded.long.id}`)
    await page.getByRole('button', { name: 'Enable' }).click()
    await page.getByRole('dialog').waitFor()
    assert.deepEqual(await violations(page), [], 'a dialog')
    await page.keyboard.press('Escape')
    await show(page, `/webhooks/${seeded.orders.id}/settings`)
    await page.getByLabel('Authentication').selectOption('oauth2')
    await page.getByLabel('Timeout in seconds').fill('99')
    await page.getByRole('button', { name: 'Save changes' }).click()
    await page.locator('[aria-invalid]').first().waitFor()
    assert.deepEqual(await violations(page), [], 'faults')
    await show(page, '/webhooks/wh_none')
    assert.deepEqual(await violations(page), [], 'not found')
    assert.deepEqual(faults, [])
    await context.close()
  })
}

test('axe finds nothing on the pages without a session, nor in one that only reads', async () => {
  const page = await browser.newPage()
  await page.goto(`${hookline.url}/portal`)
  await page.locator('h1').waitFor()
  assert.deepEqual(await violations(page), [])
  await page.close()
  const readOnly = await openPortal(browser, hookline, { link: { read_only: true }, path: `/webhooks/${seeded.orders.id}/settings` })
  assert.deepEqual(await violations(readOnly.page), [])
  await readOnly.context.close()
})

test('a delivery is reached and retried with the keyboard alone, and the focus shows', async () => {
  const { page, context } = await openPortal(browser, hookline, { path: `/webhooks/${seeded.orders.id}` })
  const tabTo = async (locator, what) => {
    for (let presses = 0; presses < 60; presses += 1) {
      if (await locator.evaluate((element) => element === document.activeElement)) return
      await page.keyboard.press('Tab')
    }
    throw new Error(`${what} is not reached`)
  }
  const first = page.locator('a.delivery').first()
  await tabTo(first, 'a delivery')
  assert.notEqual(await first.evaluate((element) => getComputedStyle(element).outlineStyle), 'none')
  await page.keyboard.press('Enter')
  await page.getByText('Attempt 1').waitFor()
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main')
  const retry = page.getByRole('button', { name: 'Retry now' })
  await tabTo(retry, 'the button')
  const before = await page.getByText(/^Attempt \d+$/).count()
  await page.keyboard.press('Enter')
  await page.getByText(`Attempt ${before + 1}`, { exact: true }).waitFor()
  await context.close()
})

test('the focus returns from a dialog to the button that opened it', async () => {
  const { page, context } = await openPortal(browser, hookline, { path: `/webhooks/${seeded.orders.id}` })
  const button = page.getByRole('button', { name: 'Delete' })
  await button.focus()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  assert.ok(await button.evaluate((element) => element === document.activeElement))
  await context.close()
})

test('nothing is wider than a telephone', async () => {
  const { page, context } = await openPortal(browser, hookline, { link: { publish: true }, viewport: { width: 390, height: 844 } })
  for (const [name, path] of Object.entries(seeded.pages)) {
    await show(page, path)
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    assert.ok(width <= 390, `${name}: ${width} px`)
  }
  await context.close()
})

test('the theme is chosen and kept, and any accent can be read', async () => {
  const { page, context } = await openPortal(browser, hookline)
  await page.getByRole('button', { name: 'Theme: system' }).click()
  await page.getByRole('button', { name: 'Theme: light' }).click()
  await page.reload()
  await page.getByRole('button', { name: 'Theme: dark' }).waitFor()
  assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), 'dark')
  for (const accent of ['#ffff00', '#000000', '#ffffff', '#ff0077', '#808080']) {
    await context.route('**/portal/brand.json', (route) => route.fulfill({ json: { name: 'Acme & Söhne', accent } }))
    for (const theme of ['light', 'dark']) {
      await page.evaluate((theme) => localStorage.setItem('hookline-theme', theme), theme)
      await page.reload()
      await page.getByRole('link', { name: 'Acme & Söhne' }).waitFor()
      await page.getByRole('link', { name: 'Add a webhook' }).waitFor()
      assert.deepEqual(await violations(page), [], `${accent} ${theme}`)
    }
    await context.unroute('**/portal/brand.json')
  }
  assert.match(await page.title(), /Acme & Söhne/)
  await context.close()
})
