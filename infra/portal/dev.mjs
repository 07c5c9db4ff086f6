// Serves `dist` from the disk as Hookline does, and passes everything else on to a running Hookline: a change of the page then shows
// without building the program again. `node dev.mjs [HOOKLINE_URL] [PORT]`; it prints the address of the page.
import { createServer, request } from 'node:http'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const [target = 'http://127.0.0.1:3000', port = '3100'] = process.argv.slice(2)
const dist = join(fileURLToPath(new URL('.', import.meta.url)), 'dist')
const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8', svg: 'image/svg+xml', txt: 'text/plain; charset=utf-8' }
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** The name of the file in `dist` that a path stands for, if it stands for one. */
const file = (path) => (path === '/portal' ? 'index.html' : /^\/portal\/(assets\/[\w.-]+)$/.exec(path)?.[1])

const server = createServer((incoming, answer) => {
  const path = new URL(incoming.url ?? '/', target).pathname
  const name = file(path)
  if (name) {
    try {
      const isCompressed = /\bbr\b/.test(incoming.headers['accept-encoding'] ?? '')
      const body = readFileSync(join(dist, isCompressed ? `${name}.br` : name))
      const headers = { 'content-type': TYPES[name.split('.').pop()], 'content-security-policy': CSP, 'x-content-type-options': 'nosniff' }
      answer.writeHead(200, isCompressed ? { ...headers, 'content-encoding': 'br' } : headers).end(body)
    } catch {
      answer.writeHead(404).end()
    }
    return
  }
  const options = { method: incoming.method, headers: incoming.headers }
  const passedOn = request(new URL(incoming.url ?? '/', target), options, (response) => {
    answer.writeHead(response.statusCode ?? 502, response.headers)
    response.pipe(answer)
  })
  passedOn.on('error', () => answer.writeHead(502).end())
  incoming.pipe(passedOn)
})
server.listen(Number(port), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}/portal`))
