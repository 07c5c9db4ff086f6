curl -X POST https://api.example.com/v1/webhooks \
-H "Authorization: Bearer YOUR_TOKEN" \
-H "Content-Type: application/json" \
-d '{
"url": "https://your-app.com/webhooks",
"events": [
"resource.created",
"resource.updated",
"resource.deleted"
],
"secret": "your_webhook_secret"
}'
