// Takes a picture of each page in both themes and at two widths. Arguments: the folder, then the pages, or none for all.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { seed } from './seed.mjs'
import { openPortal, show, startBrowser, startHookline, startReceiver } from './stage.mjs'

const [folder, ...wanted] = process.argv.slice(2)
mkdirSync(folder, { recursive: true })

const hookline = await startHookline('--retry-schedule', '0s,1s,1s')
const receiver = await startReceiver()
const browser = await startBrowser()
try {
  const { pages } = await seed(hookline, receiver)
  for (const [width, height] of [[1280, 800], [390, 844]]) {
    for (const colorScheme of ['light', 'dark']) {
      const { page, context, faults } = await openPortal(browser, hookline, {
        link: { publish: true },
        viewport: { width, height },
        colorScheme,
      })
      for (const [name, path] of Object.entries(pages)) {
        if (wanted.length > 0 && !wanted.includes(name)) continue
        await show(page, path)
        await page.evaluate(() => document.fonts.ready)
        await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: true })
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
