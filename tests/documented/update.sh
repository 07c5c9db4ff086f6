curl -X PATCH https://api.example.com/v1/webhooks/wh_abc123 \
-H "Authorization: Bearer YOUR_TOKEN" \
-H "Content-Type: application/json" \
-d '{
"events": ["resource.created", "resource.updated"]
}'
