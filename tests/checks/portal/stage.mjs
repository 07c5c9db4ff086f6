// What the checks of the portal run against: Hookline as a process or a deployed stack, a receiver that can fail and heal, and a browser.
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

/** A deployed stack: its address, and a platform token. Without them, a process is started. */
const { HOOKLINE_URL: STACK, HOOKLINE_TOKEN } = process.env
const TOKEN = STACK ? HOOKLINE_TOKEN : 'hl_checks_of_the_portal_0123456789abcdef'
/** How much longer than a process a stack may take. */
const PATIENCE = STACK ? 6 : 1

/** Starts a program, and returns it with the address that it says it listens on. */
async function listening(program, ...options) {
  const child = spawn(program, options, { stdio: ['ignore', 'pipe', 'inherit'] })
  let url
  for await (const line of createInterface({ input: child.stdout })) {
    url = /listening on (http:\/\/[^/\s]+)/.exec(line)?.[1]
    if (url) break
  }
  child.stdout.resume()
  const stop = async () => {
    child.kill('SIGTERM')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
  return { url, stop }
}

/**
 * Starts Hookline, or takes a new account of the deployed stack. `url` is where the page is: the process, or what serves the page from the
 * disk in front of it.
 */
export async function startHookline(...options) {
  if (STACK) return { url: STACK, stop: () => {}, api: apiOf(STACK, `portal-${randomUUID()}`) }
  const common = ['--ephemeral', '--token', TOKEN, '--listen', '127.0.0.1:0', '--log-level', 'off']
  const hookline = await listening(process.env.HOOKLINE_LOCAL, ...common, ...options)
  const api = apiOf(hookline.url)
  if (process.env.HOOKLINE_PAGE !== 'dist') return { ...hookline, api }
  const page = await listening(process.execPath, process.env.PORTAL_DEV, hookline.url, '0')
  const stop = async () => {
    await page.stop()
    await hookline.stop()
  }
  return { url: page.url, stop, api }
}

/** Returns a function that calls the API. An answer of another status than the expected one is an error. */
function apiOf(url, account) {
  return async (method, path, body, expected) => {
    const headers = {
      authorization: `Bearer ${TOKEN}`,
      ...(account && { 'hookline-account': account }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    }
    const response = await ask(url + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) })
    const answer = response.status === 204 ? undefined : await response.json()
    const isExpected = expected === undefined ? response.ok : response.status === expected
    if (!isExpected) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`)
    return answer
  }
}

/**
 * Sends a request. The emulator of AWS routes by names that not every resolver takes to be this machine, and `fetch` sets the header `Host`
 * by itself.
 */
export async function ask(url, { method = 'GET', headers = {}, body } = {}) {
  const { hostname, host, port, pathname, search } = new URL(url)
  if (!hostname.endsWith('.localhost')) return fetch(url, { method, headers, body })
  const request = httpRequest({ host: '127.0.0.1', port, path: pathname + search, method, headers: { ...headers, host } })
  request.end(body)
  const [response] = await once(request, 'response')
  const text = Buffer.concat(await response.toArray()).toString()
  return { status: response.statusCode, ok: response.statusCode < 300, json: async () => JSON.parse(text) }
}

/** Makes a link, on the address that serves the page. */
export async function makeLink(hookline, options = {}) {
  const { url } = await hookline.api('POST', '/v1/portal-links', options, 201)
  return `${hookline.url}/portal${new URL(url).hash}`
}

/** Starts a receiver. It answers with what `answer` returns at the moment: a status and a body. */
export async function startReceiver() {
  const receiver = { answer: () => [200, 'ok'], requests: [] }
  const server = createServer((request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      receiver.requests.push({ headers: request.headers, body: Buffer.concat(chunks).toString() })
      const [status, body, delay = 0] = receiver.answer(receiver.requests.length)
      setTimeout(() => response.writeHead(status, { 'content-type': 'text/html' }).end(body), delay)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  receiver.url = `http://127.0.0.1:${server.address().port}/webhooks`
  receiver.stop = () => {
    server.closeAllConnections()
    server.close()
  }
  return receiver
}

/** Starts the browser of the system. */
export const startBrowser = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] })

/** Opens a page with a session. What goes wrong in its scripts, and what its policy refuses, is in `faults`. */
export async function openPortal(browser, hookline, { link = {}, path = '/webhooks', ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(15_000 * PATIENCE)
  const faults = []
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('console', (message) => {
    // The browser logs each answer that is no success. The page shows it, so that is no fault.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(message.text())
  })
  await page.goto(await makeLink(hookline, link))
  await page.locator('header nav').waitFor()
  await show(page, path)
  return { page, context, faults }
}

/** Goes to a page of the portal, and waits until nothing on it is loading. */
export async function show(page, path) {
  await page.evaluate((fragment) => { location.hash = fragment }, `#${path}`)
  await settled(page)
}

export async function settled(page) {
  await page.waitForFunction(() => document.querySelector('main h1') && !document.querySelector('main .skeleton, main .loading'))
}

/** Waits until `condition` returns a value that counts, and returns it. */
export async function until(condition, what = 'the condition', patienceMs = 20_000 * PATIENCE) {
  const end = Date.now() + patienceMs
  for (;;) {
    const value = await condition()
    if (value) return value
    if (Date.now() > end) throw new Error(`${what} never held`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
