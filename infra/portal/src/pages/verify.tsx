// How a receiver verifies requests, in four languages, with the names of this webhook's headers.
import { useState } from 'preact/hooks'
import type { Webhook } from '../api'
import { Raw } from '../ui'

const LANGUAGES = ['Python', 'Node.js', 'Rust', 'Go'] as const
type Language = (typeof LANGUAGES)[number]

/** Code that verifies the HMAC-SHA256 of the body in `header`, as lowercase hex, with what each language has by itself. */
const CODE: Record<Language, (header: string) => string> = {
  Python: (header) => `import hashlib
import hmac
import os

SECRET = os.environ["WEBHOOK_SECRET"]

def is_genuine(body: bytes, headers) -> bool:
    """Whether Hookline sent a request. Pass the bytes of the body as they arrived."""
    expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(headers.get("${header}", ""), expected)
`,
  'Node.js': (header) => `import { createHmac, timingSafeEqual } from 'node:crypto'

const SECRET = process.env.WEBHOOK_SECRET

// Whether Hookline sent a request. Pass the bytes of the body as they arrived.
export function isGenuine(body, headers) {
  const expected = createHmac('sha256', SECRET).update(body).digest()
  const given = Buffer.from(headers['${header.toLowerCase()}'] ?? '', 'hex')
  return given.length === expected.length && timingSafeEqual(given, expected)
}
`,
  Rust: (header) => `// hmac = "0.12", sha2 = "0.10", hex = "0.4", http = "1"
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Whether Hookline sent a request. Pass the bytes of the body as they arrived.
pub fn is_genuine(secret: &str, body: &[u8], headers: &http::HeaderMap) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(body);
    let given = headers.get("${header.toLowerCase()}").and_then(|value| hex::decode(value).ok());
    given.is_some_and(|given| mac.verify_slice(&given).is_ok())
}
`,
  Go: (header) => `package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
)

// IsGenuine reports whether Hookline sent a request. Pass the bytes of the body as they arrived.
func IsGenuine(secret string, body []byte, headers http.Header) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	given, err := hex.DecodeString(headers.Get("${header}"))
	return err == nil && hmac.Equal(given, mac.Sum(nil))
}
`,
}

const BODY_HEADER = 'X-Webhook-Signature'

export function Verify({ webhook }: { webhook: Webhook }) {
  const [language, setLanguage] = useState<Language>('Python')
  const own = webhook.signature_header
  return (
    <>
      <h2>Verify that a request is genuine</h2>
      <p>Anyone can send a request to your URL. Only Hookline knows the signing secret, so check the signature before you trust the body.</p>
      <div class="tabs" role="group" aria-label="Language">
        {LANGUAGES.map((name) => <button key={name} type="button" class="tab" aria-pressed={name === language} onClick={() => setLanguage(name)}>{name}</button>)}
      </div>
      <Raw key={language} text={CODE[language](BODY_HEADER)} label={`${language}: verifies ${BODY_HEADER}`} />
      <h2>The headers of this webhook</h2>
      <table class="headers">
        <tbody>
          <tr><th scope="row"><code>{BODY_HEADER}</code></th><td>HMAC-SHA256 of the body, in lowercase hex</td></tr>
          <tr><th scope="row"><code>webhook-signature</code></th><td>the signature of Standard Webhooks, over <code>webhook-id</code>, <code>webhook-timestamp</code> and the body; its published libraries verify it</td></tr>
          {own ? <tr><th scope="row"><code>{own.name}</code></th><td>your own: <code>{own.value}</code>, signing <code>{own.content}</code></td></tr> : null}
          {Object.keys(webhook.headers ?? {}).map((name) => <tr key={name}><th scope="row"><code>{name}</code></th><td>a header of yours</td></tr>)}
          <tr><th scope="row"><code>webhook-id</code></th><td>the event's id, the same in every attempt: use it to notice repeats</td></tr>
          <tr><th scope="row"><code>webhook-timestamp</code></th><td>when the attempt began, in seconds since 1970: refuse old ones</td></tr>
        </tbody>
      </table>
    </>
  )
}
