curl -X DELETE https://api.example.com/v1/webhooks/wh_abc123 \
-H "Authorization: Bearer YOUR_TOKEN"
