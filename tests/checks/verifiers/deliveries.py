"""Records deliveries of a running process, before, during and after rotations of each kind of secret, and polled requests.

Prints one case a line: a request as its receiver got it, a secret, and whether a verifier must accept the two together:
{"name", "verifier", "secret", "headers", "body", "is_valid"}.
"""

import base64
import json
import queue
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BASE, TOKEN = sys.argv[1:]
EVENT_TYPE = "resource.created"
# Only a failing check waits this long.
DEADLINE_S = 30

# The kinds of secrets that the documents name. `None` asks for a generated one.
SECRETS = {
    "generated": None,
    "own whsec_": "whsec_" + base64.b64encode(bytes(range(32))).decode(),
    "own text": "your_webhook_secret",
    "own text beyond ASCII": "un secret très long é",
}


# Other senders' signatures, as the documents write them for `signature_header`.
OTHER_SENDERS = {
    "github": {"name": "X-Hub-Signature-256", "content": "{body}", "value": "sha256={hex}"},
    "stripe": {"name": "Stripe-Signature", "content": "{timestamp}.{body}", "value": "t={timestamp},v1={hex}"},
}


class Receiver:
    """Records the requests of each path."""

    def __init__(self):
        self.requests = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.of(self.path).put((dict(self.headers.items()), body.decode()))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, path):
        return self.requests.setdefault(path, queue.Queue())

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_port}{path}"


def call(path, body=None, method="POST"):
    """Calls the API and returns the answer."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    body = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        return json.loads(answer.read() or "null")


def register(receiver, path, secret, **options):
    given = {} if secret is None else {"secret": secret}
    return call("/v1/webhooks", {"url": receiver.url(path), "events": [EVENT_TYPE], **given, **options})


def rotate(webhook, secret):
    return call(f"/v1/webhooks/{webhook['id']}/rotate-secret", {} if secret is None else {"secret": secret})


def finish(webhook):
    call(f"/v1/webhooks/{webhook['id']}/rotate-secret/finish", {})


def delivered(receiver, path):
    """Publishes an event and returns the headers and the body of its delivery."""
    data = {"object": {"id": "res_1", "name": "Zoë ☂", "amount": 1.5}}
    event = call("/v1/events", {"type": EVENT_TYPE, "data": data})
    headers, body = receiver.of(path).get(timeout=DEADLINE_S)
    assert json.loads(body)["id"] == event["id"]
    return headers, body


def case(verifier, name, secret, request, is_valid):
    headers, body = request
    line = {"name": name, "verifier": verifier, "secret": secret, "headers": headers, "body": body, "is_valid": is_valid}
    print(json.dumps(line))


def changed(request):
    headers, body = request
    return headers, body.replace("res_1", "res_2")


def standard_webhooks(receiver, kind, secret):
    """`webhook-signature` holds with every secret that is valid: rotates to a secret of each other kind."""
    path = f"/standard/{kind.replace(' ', '-')}"
    webhook = register(receiver, path, secret)
    secrets = [webhook["standard_secret"]]
    before = delivered(receiver, path)
    for other in SECRETS.values():
        if other != secret:
            secrets.append(rotate(webhook, other)["standard_secret"])
    during = delivered(receiver, path)
    finish(webhook)
    after = delivered(receiver, path)
    call(f"/v1/webhooks/{webhook['id']}", method="DELETE")

    *ended, new = secrets
    case("standard", f"{kind}: before", secrets[0], before, True)
    case("standard", f"{kind}: before, with a later secret", new, before, False)
    case("standard", f"{kind}: before, with a changed body", secrets[0], changed(before), False)
    for number, valid in enumerate(secrets, 1):
        case("standard", f"{kind}: during, with secret {number}", valid, during, True)
    case("standard", f"{kind}: after", new, after, True)
    for number, old in enumerate(ended, 1):
        case("standard", f"{kind}: after, with secret {number}", old, after, False)


def polled(kind, secret):
    """A polled request has the signatures of a delivery."""
    given = {} if secret is None else {"secret": secret}
    webhook = call("/v1/webhooks", {"delivery": "poll", "events": [EVENT_TYPE], **given})
    event = call("/v1/events", {"type": EVENT_TYPE, "data": {"object": {"id": "res_1", "name": "Zoë ☂"}}})
    [request] = call(f"/v1/webhooks/{webhook['id']}/poll", method="GET")["data"]
    assert request["headers"]["webhook-id"] == event["id"]
    call(f"/v1/webhooks/{webhook['id']}", method="DELETE")

    request = request["headers"], request["body"]
    case("standard", f"{kind}: polled", webhook["standard_secret"], request, True)
    case("standard", f"{kind}: polled, with a changed body", webhook["standard_secret"], changed(request), False)


def other_sender(receiver, sender, signature_header):
    """A `signature_header` holds with the oldest valid secret."""
    path = f"/{sender}"
    webhook = register(receiver, path, SECRETS["own text"], signature_header=signature_header)
    old = webhook["secret"]
    before = delivered(receiver, path)
    new = rotate(webhook, None)["secret"]
    during = delivered(receiver, path)
    finish(webhook)
    after = delivered(receiver, path)
    call(f"/v1/webhooks/{webhook['id']}", method="DELETE")

    case(sender, f"{sender}: before", old, before, True)
    case(sender, f"{sender}: before, with a changed body", old, changed(before), False)
    case(sender, f"{sender}: during, with the old secret", old, during, True)
    case(sender, f"{sender}: during, with the new secret", new, during, False)
    case(sender, f"{sender}: after", new, after, True)
    case(sender, f"{sender}: after, with the old secret", old, after, False)


def main():
    receiver = Receiver()
    for kind, secret in SECRETS.items():
        standard_webhooks(receiver, kind, secret)
        polled(kind, secret)
    for sender, signature_header in OTHER_SENDERS.items():
        other_sender(receiver, sender, signature_header)


main()
