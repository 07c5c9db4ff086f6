"""A receiver of webhooks. It verifies and stores an event, answers, and processes the event later, each event once.

It needs Python 3.9 and nothing else.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECRET = os.environ["WEBHOOK_SECRET"]
INBOX = Path(os.environ.get("INBOX", "inbox"))
PORT = int(os.environ.get("PORT", "5000"))

TOLERANCE_S = 5 * 60  # how far a timestamp may differ from our clock
REMEMBERED_S = 24 * 60 * 60  # how long an event is remembered, so that a duplicate is dropped
ROUND_S = 60  # how often failed work is tried again
BODY_BYTES_MAX = 1024 * 1024

stored = threading.Event()  # wakes the worker


def process(event):
    """Your own work. After a crash it may run again for the same event, so repeating it must be harmless."""
    print("processed", event["id"], event["type"], flush=True)


def verify(headers, body, now_s):
    """Returns whether Hookline signed exactly this body, with a timestamp at most five minutes off (Standard Webhooks 1.0.0)."""
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not re.fullmatch(r"[A-Za-z0-9_]{1,64}", event_id) or not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return False
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        return False
    # A secret that begins with whsec_ is base64. Any other secret is used as it is.
    key = base64.b64decode(SECRET[6:]) if SECRET.startswith("whsec_") else SECRET.encode()
    signed = f"{event_id}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    # During a rotation of the secret there is a signature for each valid secret, up to four. One match is enough.
    signatures = headers.get("webhook-signature", "").encode("latin-1").split(b" ")
    return any([hmac.compare_digest(expected, signature) for signature in signatures])


def store(event_id, body):
    """Stores the event on disk. Returns false if it is stored already. The file gets its name only when it is complete."""
    draft = INBOX / f".{event_id}.{threading.get_ident()}"
    with open(draft, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, INBOX / f"{event_id}.json")
        return True
    except FileExistsError:
        return False
    finally:
        draft.unlink()


def work():
    """Processes the stored events, oldest first (ids sort by time), and removes those that need not be remembered."""
    for path in sorted(path for path in INBOX.glob("*.json") if not path.name.startswith(".")):
        done = path.with_suffix(".done")
        if not done.exists():
            process(json.loads(path.read_bytes()))
            done.touch()
        elif time.time() - done.stat().st_mtime > REMEMBERED_S:
            path.unlink()
            done.unlink()


def keep_working():
    """Works whenever an event is stored, and at least every ROUND_S seconds, which tries failed work again."""
    while True:
        stored.clear()
        try:
            work()
        except Exception:
            traceback.print_exc()
        stored.wait(timeout=ROUND_S)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections alive for later deliveries
    timeout = 60

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            return self.answer(413)
        body = self.rfile.read(int(length))
        if not verify(self.headers, body, time.time()):
            return self.answer(401)
        if store(self.headers["webhook-id"], body):
            stored.set()
        self.answer(200)  # also for a duplicate, so that it is not sent again

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if status == 413:
            self.close_connection = True  # the body was not read
            self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    INBOX.mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Receiver)
    print("port", server.server_port, flush=True)
    threading.Thread(target=keep_working, daemon=True).start()
    server.serve_forever()
