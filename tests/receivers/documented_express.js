// The Node.js receiver of infra/docs/receiving.md. The code between the two marks is the code of the page,
// unchanged. The rest is what the page leaves to the reader: the secret, the two handlers, and a server
// on a free port, which it prints.
const WEBHOOK_SECRET = process.env.WEBHOOK_SECRET;

function handleResourceCreated(resource) {
  console.log('created', resource.id);
}

function handleResourceUpdated(resource) {
  console.log('updated', resource.id);
}

// --- infra/docs/receiving.md: begin ---
const express = require('express');
const crypto = require('crypto');

const app = express();
app.use(express.raw({ type: 'application/json' }));

function verifyWebhookSignature(payload, signature, secret) {
  const expectedSignature = crypto
    .createHmac('sha256', secret)
    .update(payload)
    .digest('hex');

  return crypto.timingSafeEqual(
    Buffer.from(signature),
    Buffer.from(expectedSignature)
  );
}

app.post('/webhooks', (req, res) => {
  const signature = req.headers['x-webhook-signature'];
  const payload = req.body.toString();

  if (!verifyWebhookSignature(payload, signature, WEBHOOK_SECRET)) {
    return res.status(401).json({ error: 'Invalid signature' });
  }

  const event = JSON.parse(payload);

  // Handle the event
  switch (event.type) {
    case 'resource.created':
      handleResourceCreated(event.data.object);
      break;
    case 'resource.updated':
      handleResourceUpdated(event.data.object);
      break;
  }

  res.json({ status: 'received' });
});
// --- infra/docs/receiving.md: end ---

const server = app.listen(0, '127.0.0.1', () => {
  console.log('port', server.address().port);
});
