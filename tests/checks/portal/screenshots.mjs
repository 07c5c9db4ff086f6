// Takes a picture of each page in both themes and at two widths. Arguments: the folder, then the pages, or none for all.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { seed } from './seed.mjs'
import { openPortal, show, startBrowser, startHookline, startReceiver } from './stage.mjs'

const [folder, ...named] = process.argv.slice(2)
const isForReadme = folder.endsWith('infra/docs/pictures')
const wanted = isForReadme ? ['webhook', 'delivery'] : named
const SIZES = isForReadme ? [[1120, 700]] : [[1280, 800], [390, 844]]
mkdirSync(folder, { recursive: true })

/** States of pages that appear only after something was done. */
const scenes = ({ orders, long }) => ({
  enable: async (page) => {
    await show(page, `/webhooks/${long.id}`)
    await page.getByRole('button', { name: 'Enable' }).click()
    await page.getByRole('dialog').waitFor()
  },
  filter: async (page) => {
    await show(page, `/webhooks/${orders.id}/settings`)
    await page.getByRole('button', { name: 'At least' }).click()
    await page.getByText('It does not match.').waitFor()
    await page.getByLabel('Timeout in seconds').fill('99')
    await page.getByRole('button', { name: 'Save changes' }).click()
    await page.locator('[aria-invalid]').first().waitFor()
  },
  secret: async (page) => {
    await show(page, `/webhooks/${orders.id}/settings`)
    await page.getByLabel('Overlap in hours').fill('0')
    await page.getByRole('button', { name: 'Rotate the secret' }).click()
    await page.locator('.secret').first().waitFor()
  },
  findings: async (page) => {
    const { headers, body } = receiver.requests[0]
    await show(page, '/why')
    await page.getByLabel('Headers').fill(JSON.stringify(headers, null, 2))
    await page.getByLabel('Body').fill(`${body}\n`)
    await page.getByRole('button', { name: 'Find out' }).click()
    await page.locator('.finding').first().waitFor()
  },
  reached: async (page) => {
    await show(page, '/events/new')
    await page.waitForFunction(() => document.querySelector('textarea')?.value)
    await page.getByRole('button', { name: 'Who would get it?' }).click()
    await page.locator('.finding').first().waitFor()
  },
  empty: async (page) => {
    await show(page, `/webhooks/${orders.id}/deliveries?status=cancelled`)
  },
})

const hookline = await startHookline('--retry-schedule', '0s,1s,1s')
const receiver = await startReceiver()
const browser = await startBrowser()
try {
  const seeded = await seed(hookline, receiver)
  const { pages } = seeded
  for (const [width, height] of SIZES) {
    for (const colorScheme of ['light', 'dark']) {
      const { page, context, faults } = await openPortal(browser, hookline, {
        link: { publish: true },
        viewport: { width, height },
        colorScheme,
        deviceScaleFactor: isForReadme ? 1.5 : 1,
      })
      for (const [name, path] of Object.entries(pages)) {
        if (wanted.length > 0 && !wanted.includes(name)) continue
        await show(page, path)
        await page.evaluate(() => document.fonts.ready)
        await page.screenshot({ path: join(folder, isForReadme ? `${name}-${colorScheme}.png` : `${name}-${width}-${colorScheme}.png`), fullPage: !isForReadme })
      }
      for (const [name, act] of Object.entries(scenes(seeded))) {
        if (wanted.length > 0 && !wanted.includes(name)) continue
        await act(page)
        // What is in the visible part: a dialog lies over it.
        await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`) })
      }
      if (faults.length > 0) console.error(faults)
      await context.close()
    }
  }
} finally {
  await browser.close()
  await hookline.stop()
  receiver.stop()
}
