// Bundles `src` into a folder: the page, its assets, each also compressed with Brotli, and the list of them that the program includes.
import { build } from 'esbuild'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants } from 'node:zlib'

const folder = process.argv[2]
const BYTES_MAX = 100 * 1024
const TYPES = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  txt: 'text/plain; charset=utf-8',
}

const files = []
let bytes = 0
function write(name, content) {
  const body = Buffer.from(content)
  const brotli = brotliCompressSync(body, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: body.length },
  })
  mkdirSync(join(folder, 'assets'), { recursive: true })
  writeFileSync(join(folder, name), body)
  writeFileSync(join(folder, `${name}.br`), brotli)
  bytes += brotli.length
  files.push(name)
}

/** Writes an asset under a name with a digest of its content, and returns its path. */
function asset(name, content) {
  const [stem, extension] = name.split('.')
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 12)
  const hashed = `assets/${stem}-${hash}.${extension}`
  write(hashed, content)
  return `/portal/${hashed}`
}

// The licences of what is bundled ask for their text in each copy.
const licences = ['preact', 'uplot'].map((name) => `${name}\n\n${readFileSync(`node_modules/${name}/LICENSE`, 'utf8').trim()}\n`)
const licencesPath = asset('licences.txt', licences.join('\n'))

const banner = { js: `// Licences: ${licencesPath}` }
const options = { bundle: true, external: ['/portal/*'], minify: true, write: false, legalComments: 'none', target: 'es2022', charset: 'utf8', banner }
const charts = await build({ ...options, entryPoints: ['src/charts/uplot.ts'], format: 'esm' })
const chartsPath = asset('charts.js', charts.outputFiles[0].contents)
const app = await build({
  ...options,
  entryPoints: ['src/main.tsx'],
  format: 'esm',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  define: { CHARTS: JSON.stringify(chartsPath) },
})
const css = await build({ ...options, banner: {}, entryPoints: ['src/style.css'] })

const page = readFileSync('src/index.html', 'utf8')
  .replace('{icon}', asset('icon.svg', readFileSync('src/icon.svg')))
  .replace('{style}', asset('style.css', css.outputFiles[0].contents))
  .replace('{script}', asset('app.js', app.outputFiles[0].contents))
write('index.html', page)

const lines = files.sort().map((name) => {
  const type = TYPES[name.split('.').pop()]
  return `    File { name: "${name}", content_type: "${type}", plain: include_bytes!("${name}"), brotli: include_bytes!("${name}.br") },\n`
})
writeFileSync(join(folder, 'files.rs'), `// Made by infra/portal/build.\n&[\n${lines.join('')}]\n`)
console.log(`${files.length} files, ${bytes} bytes compressed`)
if (bytes > BYTES_MAX) throw new Error(`more than ${BYTES_MAX} bytes`)
