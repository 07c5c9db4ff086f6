curl https://api.example.com/v1/webhooks \
-H "Authorization: Bearer YOUR_TOKEN"
