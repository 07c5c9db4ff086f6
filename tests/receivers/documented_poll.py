# The polling client of infra/docs/receiving.md. The code between the two marks is the code of the page,
# unchanged.

# --- infra/docs/receiving.md: begin ---
import hashlib
import hmac
import http.client
import json
import os
import time
import urllib.request
from pathlib import Path

POLL = f"{os.environ['HOOKLINE_URL']}/v1/webhooks/{os.environ['WEBHOOK_ID']}/poll?limit=100"
TOKEN = os.environ['HOOKLINE_TOKEN']
SECRET = os.environ['WEBHOOK_SECRET']
CURSOR = Path('cursor')  # what was read so far; it survives a restart

def poll(cursor):
    """Returns a page, and how many seconds to wait before the next poll."""
    url = f'{POLL}&cursor={cursor}' if cursor else POLL
    request = urllib.request.Request(url, headers={'Authorization': f'Bearer {TOKEN}'})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer), int(answer.headers.get('Retry-After', 0))

def verify(request):
    expected = hmac.new(SECRET.encode(), request['body'].encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(request['headers']['x-webhook-signature'], expected):
        raise SystemExit('The signature does not match: is WEBHOOK_SECRET the secret of this webhook?')

def handle(event):
    """Your own work. The same event may come again, so repeating it must be harmless."""
    print(event['id'], event['type'], flush=True)

cursor = CURSOR.read_text() if CURSOR.exists() else None
while True:
    try:
        page, wait = poll(cursor)
    except (OSError, http.client.HTTPException) as error:
        print(error, flush=True)
        time.sleep(5)
        continue
    for request in page['data']:
        verify(request)
        handle(json.loads(request['body']))
    # All events of the page are handled: the next poll acknowledges them. The file is replaced whole.
    cursor = page['next_cursor']
    Path('cursor.new').write_text(cursor)
    os.replace('cursor.new', CURSOR)
    time.sleep(wait)
# --- infra/docs/receiving.md: end ---
