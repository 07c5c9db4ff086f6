curl -X POST https://api.example.com/v1/webhooks/test \
-H "Authorization: Bearer YOUR_TOKEN" \
-H "Content-Type: application/json" \
-d '{
"webhook_id": "wh_abc123",
"event_type": "resource.created"
}'
