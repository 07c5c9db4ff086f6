# The Python receiver of infra/docs/receiving.md. The code between the two marks is the code of the page,
# unchanged. The rest is what the page leaves to the reader: the secret, the two handlers, and a server
# on a free port, which it prints.
import os

WEBHOOK_SECRET = os.environ['WEBHOOK_SECRET']


def handle_resource_created(resource):
    print('created', resource['id'], flush=True)


def handle_resource_updated(resource):
    print('updated', resource['id'], flush=True)


# --- infra/docs/receiving.md: begin ---
import hmac
import hashlib

def verify_webhook_signature(payload, signature, secret):
    """Verify the webhook signature"""
    expected_signature = hmac.new(
        secret.encode('utf-8'),
        payload.encode('utf-8'),
        hashlib.sha256
    ).hexdigest()
    return hmac.compare_digest(signature, expected_signature)

# In your webhook handler
from flask import Flask, request, jsonify

app = Flask(__name__)

@app.route('/webhooks', methods=['POST'])
def handle_webhook():
    payload = request.get_data(as_text=True)
    signature = request.headers.get('X-Webhook-Signature')

    if not verify_webhook_signature(payload, signature, WEBHOOK_SECRET):
        return jsonify({'error': 'Invalid signature'}), 401

    event = request.json

    # Handle the event
    if event['type'] == 'resource.created':
        handle_resource_created(event['data']['object'])
    elif event['type'] == 'resource.updated':
        handle_resource_updated(event['data']['object'])

    return jsonify({'status': 'received'}), 200
# --- infra/docs/receiving.md: end ---


from werkzeug.serving import make_server

server = make_server('127.0.0.1', 0, app, threaded=True)
print('port', server.server_port, flush=True)
server.serve_forever()
