// A receiver of webhooks. It verifies and stores an event, answers, and processes the event later, each event once.
// It needs Node.js 18 and nothing else.

import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { access, link, mkdir, open, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';

const SECRET = process.env.WEBHOOK_SECRET;
const INBOX = process.env.INBOX ?? 'inbox';
const PORT = Number(process.env.PORT ?? 5000);

const TOLERANCE_S = 5 * 60; // how far a timestamp may differ from our clock
const REMEMBERED_MS = 24 * 60 * 60 * 1000; // how long an event is remembered, so that a duplicate is dropped
const ROUND_MS = 60 * 1000; // how often failed work is tried again
const BODY_BYTES_MAX = 1024 * 1024;

if (!SECRET) throw new Error('WEBHOOK_SECRET must be set');

/** Your own work. After a crash it may run again for the same event, so repeating it must be harmless. */
async function handle(event) {
  console.log('processed', event.id, event.type);
}

/** Returns whether Hookline signed exactly this body, with a timestamp at most five minutes off (Standard Webhooks 1.0.0). */
function verify(headers, body, nowS) {
  const { 'webhook-id': id = '', 'webhook-timestamp': timestamp = '', 'webhook-signature': signatures = '' } = headers;
  if (!/^[A-Za-z0-9_]{1,64}$/.test(id) || !/^[0-9]{1,12}$/.test(timestamp)) return false;
  if (Math.abs(nowS - Number(timestamp)) > TOLERANCE_S) return false;
  // A secret that begins with whsec_ is base64. Any other secret is used as it is.
  const key = SECRET.startsWith('whsec_') ? Buffer.from(SECRET.slice(6), 'base64') : SECRET;
  const expected = Buffer.from('v1,' + createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64'));
  // During a rotation of the secret there is a signature for each valid secret, up to four. One match is enough.
  const given = signatures.split(' ').map((signature) => Buffer.from(signature));
  return given.filter((one) => one.length === expected.length && timingSafeEqual(one, expected)).length > 0;
}

const exists = (path) => access(path).then(() => true, () => false);

/** Stores the event on disk. Returns false if it is stored already. The file gets its name only when it is complete. */
async function store(id, body) {
  const draft = join(INBOX, `.${id}.${randomUUID()}`);
  const file = await open(draft, 'wx');
  try {
    await file.writeFile(body);
    await file.sync();
    await link(draft, join(INBOX, `${id}.json`));
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  } finally {
    await file.close();
    await unlink(draft);
  }
}

/** Processes the stored events, oldest first (ids sort by time), and removes those that need not be remembered. */
async function work() {
  const names = (await readdir(INBOX)).filter((name) => name.endsWith('.json') && !name.startsWith('.')).sort();
  for (const path of names.map((name) => join(INBOX, name))) {
    const done = path.replace(/json$/, 'done');
    if (!(await exists(done))) {
      await handle(JSON.parse(await readFile(path, 'utf8')));
      await (await open(done, 'w')).close();
    } else if (Date.now() - (await stat(done)).mtimeMs > REMEMBERED_MS) {
      await unlink(path);
      await unlink(done);
    }
  }
}

let working; // one pass at a time, then another one for events stored meanwhile
let again = false;
function wake() {
  again = true;
  working ??= (async () => {
    while (again) {
      again = false;
      await work();
    }
  })()
    .catch(console.error)
    .finally(() => {
      working = undefined;
      if (again) wake();
    });
}

/** Returns the whole body, or undefined if it is too long. */
async function read(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
  }
  return bytes <= BODY_BYTES_MAX ? Buffer.concat(chunks) : undefined;
}

async function receive(request) {
  const body = await read(request);
  if (body === undefined) return 413;
  if (!verify(request.headers, body, Date.now() / 1000)) return 401;
  if (await store(request.headers['webhook-id'], body)) wake();
  return 200; // also for a duplicate, so that it is not sent again
}

await mkdir(INBOX, { recursive: true });
wake();
setInterval(wake, ROUND_MS).unref();
const server = createServer(async (request, response) => {
  const status = await receive(request).catch((error) => (console.error(error), 500));
  response.writeHead(status, { 'Content-Length': 0 }).end();
});
server.listen(PORT, '127.0.0.1', () => console.log('port', server.address().port));
