// Code for receivers, which verifies a request with what each language has by itself (Rust: with the usual crates).

export const LANGUAGES = ['Python', 'Node.js', 'Rust', 'Go'] as const
export type Language = (typeof LANGUAGES)[number]

/** A signature of the body alone: the header's name, what stands before the signature in it, and how it is written. */
export type BodySignature = { name: string; prefix: string; encoding: 'hex' | 'base64' }

/** Verifies `webhook-signature`, by Standard Webhooks: over the id, the time and the body. */
export const STANDARD: Record<Language, string> = {
  Python: `import base64
import hashlib
import hmac
import os
import time

SECRET = os.environ["WEBHOOK_SECRET"]
KEY = base64.b64decode(SECRET[6:]) if SECRET.startswith("whsec_") else SECRET.encode()
TOLERANCE_SECONDS = 300


def is_genuine(body: bytes, headers) -> bool:
    """Whether a request is genuine. Pass the bytes of the body as they arrived."""
    event, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    signed = f"{event}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest())
    # During a rotation there are several signatures. One that holds is enough.
    given = headers.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(expected, signature) for signature in given)
`,
  'Node.js': `import { createHmac, timingSafeEqual } from 'node:crypto'

const SECRET = process.env.WEBHOOK_SECRET
const KEY = SECRET.startsWith('whsec_') ? Buffer.from(SECRET.slice(6), 'base64') : Buffer.from(SECRET)
const TOLERANCE_SECONDS = 300

// Whether a request is genuine. Pass the bytes of the body as they arrived, and the headers with names in lower case.
export function isGenuine(body, headers) {
  const timestamp = headers['webhook-timestamp'] ?? ''
  const age = Math.abs(Date.now() / 1000 - Number(timestamp))
  if (!/^\\d+$/.test(timestamp) || age > TOLERANCE_SECONDS) return false
  const hmac = createHmac('sha256', KEY).update(\`\${headers['webhook-id']}.\${timestamp}.\`).update(body)
  const expected = Buffer.from(\`v1,\${hmac.digest('base64')}\`)
  // During a rotation there are several signatures. One that holds is enough.
  const given = (headers['webhook-signature'] ?? '').split(' ').map((signature) => Buffer.from(signature))
  return given.some((signature) => signature.length === expected.length && timingSafeEqual(signature, expected))
}
`,
  Rust: `// base64 = "0.22", hmac = "0.13", http = "1", sha2 = "0.11"
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

const TOLERANCE_SECONDS: u64 = 300;

/// Whether a request is genuine. Pass the bytes of the body as they arrived.
pub fn is_genuine(secret: &str, body: &[u8], headers: &http::HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let is_recent = timestamp.parse::<u64>().is_ok_and(|sent| now.abs_diff(sent) <= TOLERANCE_SECONDS);
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => BASE64_STANDARD.decode(encoded).unwrap_or_default(),
        None => secret.as_bytes().to_vec(),
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return false };
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    // During a rotation there are several signatures. One that holds is enough.
    is_recent
        && header("webhook-signature")
            .split(' ')
            .filter_map(|entry| BASE64_STANDARD.decode(entry.strip_prefix("v1,")?).ok())
            .any(|given| mac.clone().verify_slice(&given).is_ok())
}
`,
  Go: `package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const tolerance = 5 * time.Minute

// IsGenuine reports whether a request is genuine. Pass the bytes of the body as they arrived.
func IsGenuine(secret string, body []byte, headers http.Header) bool {
	id, timestamp := headers.Get("webhook-id"), headers.Get("webhook-timestamp")
	sent, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(sent, 0)).Abs() > tolerance {
		return false
	}
	key := []byte(secret)
	if strings.HasPrefix(secret, "whsec_") {
		if key, err = base64.StdEncoding.DecodeString(secret[len("whsec_"):]); err != nil {
			return false
		}
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	expected := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	// During a rotation there are several signatures. One that holds is enough.
	for _, given := range strings.Fields(headers.Get("webhook-signature")) {
		if hmac.Equal([]byte(given), []byte(expected)) {
			return true
		}
	}
	return false
}
`,
}

/** Verifies a signature of the body alone, keyed with the secret's text. */
export const OF_BODY: Record<Language, (signature: BodySignature) => string> = {
  Python: ({ name, prefix, encoding }) => `${encoding === 'base64' ? 'import base64\n' : ''}import hashlib
import hmac
import os

SECRET = os.environ["WEBHOOK_SECRET"]


def is_genuine(body: bytes, headers) -> bool:
    """Whether a request is genuine. Pass the bytes of the body as they arrived."""
    mac = hmac.new(SECRET.encode(), body, hashlib.sha256)
    expected = ${prefix ? `${JSON.stringify(prefix)} + ` : ''}${encoding === 'hex' ? 'mac.hexdigest()' : 'base64.b64encode(mac.digest()).decode()'}
    return hmac.compare_digest(expected.encode(), headers.get("${name}", "").encode())
`,
  'Node.js': ({ name, prefix, encoding }) => `import { createHmac, timingSafeEqual } from 'node:crypto'

const SECRET = process.env.WEBHOOK_SECRET

// Whether a request is genuine. Pass the bytes of the body as they arrived, and the headers with names in lower case.
export function isGenuine(body, headers) {
  const signature = createHmac('sha256', SECRET).update(body).digest('${encoding}')
  const expected = Buffer.from(${prefix ? `${JSON.stringify(prefix)} + ` : ''}signature)
  const given = Buffer.from(headers['${name.toLowerCase()}'] ?? '')
  return given.length === expected.length && timingSafeEqual(given, expected)
}
`,
  Rust: ({ name, prefix, encoding }) => `// ${encoding === 'hex' ? 'hex = "0.4"' : 'base64 = "0.22"'}, hmac = "0.13", http = "1", sha2 = "0.11"
${encoding === 'hex' ? '' : 'use base64::{Engine, prelude::BASE64_STANDARD};\n'}use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Whether a request is genuine. Pass the bytes of the body as they arrived.
pub fn is_genuine(secret: &str, body: &[u8], headers: &http::HeaderMap) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(body);
    let given = headers.get("${name.toLowerCase()}").and_then(|value| value.to_str().ok());
    let given = given${prefix ? `.and_then(|value| value.strip_prefix(${JSON.stringify(prefix)}))` : ''}.and_then(|value| ${encoding === 'hex' ? 'hex::decode(value)' : 'BASE64_STANDARD.decode(value)'}.ok());
    given.is_some_and(|given| mac.verify_slice(&given).is_ok())
}
`,
  Go: ({ name, prefix, encoding }) => `package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/${encoding}"
	"net/http"
)

// IsGenuine reports whether a request is genuine. Pass the bytes of the body as they arrived.
func IsGenuine(secret string, body []byte, headers http.Header) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	expected := ${prefix ? `${JSON.stringify(prefix)} + ` : ''}${encoding === 'hex' ? 'hex.EncodeToString' : 'base64.StdEncoding.EncodeToString'}(mac.Sum(nil))
	return hmac.Equal([]byte(headers.Get("${name}")), []byte(expected))
}
`,
}
