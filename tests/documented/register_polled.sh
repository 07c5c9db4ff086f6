curl -X POST https://api.example.com/v1/webhooks \
-H "Authorization: Bearer YOUR_TOKEN" \
-H "Content-Type: application/json" \
-d '{
"delivery": "poll",
"events": [
"resource.*"
]
}'
