// Headers as people copy them.

type Headers = Record<string, string | string[]>

/** Reads raw lines, the lines of `curl -v` and of its `-H` options, or JSON. Returns undefined if there is no header. */
export function readRequest(text: string): Headers | undefined {
  const headers = fromJson(text) ?? fromLines(text)
  return Object.keys(headers).length === 0 ? undefined : headers
}

/** An object of names and values, or a list of pairs. */
function fromJson(text: string): Headers | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const headers: Headers = {}
  const entries: unknown[] = Array.isArray(value) ? value : Object.entries(value)
  for (const entry of entries) {
    const [name, content] = Array.isArray(entry) ? entry : [(entry as { name?: unknown }).name, (entry as { value?: unknown }).value]
    for (const part of Array.isArray(content) ? content : [content]) {
      if (typeof name === 'string' && (typeof part === 'string' || typeof part === 'number')) add(headers, name, String(part))
    }
  }
  return headers
}

/** What stands before and after a header in a log: the marks of `curl -v`, or an option with its quotation marks. */
const LINE = /^\s*(?:[<>*]\s*|-H\s+)?(["']?)([!#$%&*+.^_`|~0-9A-Za-z-]+)\1?\s*:\s?(.*?)\s*\\?$/

function fromLines(text: string): Headers {
  const headers: Headers = {}
  for (const line of text.split(/\r?\n/)) {
    const [, quote = '', name = '', rest = ''] = LINE.exec(line) ?? []
    const value = quote && rest.endsWith(quote) ? rest.slice(0, -1) : rest
    if (name) add(headers, name, value)
  }
  return headers
}

function add(headers: Headers, name: string, value: string): void {
  const before = headers[name]
  headers[name] = before === undefined ? value : [before, value].flat()
}
