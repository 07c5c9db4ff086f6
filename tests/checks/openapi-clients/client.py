"""Uses the generated Python client as a user would: client.py BASE TOKEN DOCUMENT."""

import json
import sys
from datetime import datetime, timedelta, timezone

from hookline import AuthenticatedClient, Client, models
from hookline.api.deliveries import cancel_delivery, list_deliveries, read_delivery
from hookline.api.event_types import list_event_types
from hookline.api.events import list_events, publish_event, publish_events, read_event
from hookline.api.service import read_healthz
from hookline.api.webhooks import (
    create_webhook, finish_rotation, list_webhooks, poll_webhook, read_webhook, recover_webhook, rotate_secret,
    update_webhook,
)
from hookline.models import (
    ChangedWebhook, Delivery, DeliveryMode, DeliveryStatus, Event, EventBatch, EventWithDeliveries, JsonObject, NewEvent,
    NewEventBatch, NewEventData, NewRecovery, NewWebhook, PolledRequests, Problem, PublishedEvent, Recovery,
    SecretRotation, Webhook, WebhookChange, WebhookPage, WebhookStatus, WebhookWithSecret,
)

base, token, document = sys.argv[1:]
client = AuthenticatedClient(base_url=base, token=token, raise_on_unexpected_status=True)


def of(kind, answer):
    """Checks the type of an answer, and returns it."""
    assert isinstance(answer, kind), answer
    return answer


def json_object(**members):
    return JsonObject.from_dict(members)


# Create. Nobody listens at this address, so deliveries stay pending after their first attempt.
body = NewWebhook(url="http://127.0.0.1:9/hooks", events=["resource.*"], description="python")
webhook = of(WebhookWithSecret, create_webhook.sync(client=client, body=body))
assert webhook.status is WebhookStatus.ENABLED and webhook.secret.startswith("whsec_"), webhook
assert of(Webhook, read_webhook.sync(webhook.id, client=client)).description == "python"
change = WebhookChange(description="changed")
assert of(ChangedWebhook, update_webhook.sync(webhook.id, client=client, body=change)).description == "changed"

# Publish with a key: twice the same answer, and a problem for another body.
event = NewEvent(
    type_="resource.updated",
    data=NewEventData(object_=json_object(id="res_1", tags=["a"])),
    previous_data=json_object(id="res_0"),
)
first = publish_event.sync_detailed(client=client, body=event, idempotency_key="python-1")
again = publish_event.sync_detailed(client=client, body=event, idempotency_key="python-1")
published = of(PublishedEvent, first.parsed)
assert published == of(PublishedEvent, again.parsed)
assert published.data.object_["tags"] == ["a"] and published.previous_data["id"] == "res_0", published
assert first.headers["X-Request-Id"] != again.headers["X-Request-Id"]
other = NewEvent(type_="resource.created", data=NewEventData(object_=json_object()))
reused = of(Problem, publish_event.sync(client=client, body=other, idempotency_key="python-1"))
assert (reused.status, reused.type_) == (422, "urn:hookline:problem:idempotency-key-reused"), reused
batch = of(EventBatch, publish_events.sync(client=client, body=NewEventBatch(events=[event, other])))
assert [type(entry) for entry in batch.data] == [PublishedEvent, PublishedEvent], batch

# Page through a list.
seen, cursor = [], {}
while True:
    page = list_events.sync(client=client, limit=2, **cursor)
    seen += [of(Event, event).id for event in page.data]
    if page.next_cursor is None:
        break
    cursor = {"cursor": page.next_cursor}
assert len(seen) == len(set(seen)) == 3 and published.id in seen, seen
page = of(WebhookPage, list_webhooks.sync(client=client, status=WebhookStatus.ENABLED))
assert [entry.id for entry in page.data] == [webhook.id], page
assert "resource.updated" in [entry.name for entry in list_event_types.sync(client=client).data]

# Cancel a delivery.
delivery = of(EventWithDeliveries, read_event.sync(published.id, client=client)).deliveries[0]
cancelled = of(Delivery, cancel_delivery.sync(delivery.id, client=client))
assert cancelled.status is DeliveryStatus.CANCELLED, cancelled
assert of(Delivery, read_delivery.sync(delivery.id, client=client)).status is DeliveryStatus.CANCELLED
listed = list_deliveries.sync(webhook.id, client=client, status=DeliveryStatus.CANCELLED).data
assert [entry.id for entry in listed] == [delivery.id], listed

# Rotate, and end the overlap.
rotation = SecretRotation(overlap_seconds=60)
rotated = of(WebhookWithSecret, rotate_secret.sync(webhook.id, client=client, body=rotation, idempotency_key="python-2"))
assert rotated.secret != webhook.secret
of(Webhook, finish_rotation.sync(webhook.id, client=client))

# Recover.
since = datetime.now(timezone.utc) - timedelta(minutes=5)
recovery = of(Recovery, recover_webhook.sync(webhook.id, client=client, body=NewRecovery(since=since)))
assert recovery.since <= recovery.until, recovery

# Poll.
body = NewWebhook(delivery=DeliveryMode.POLL, events=["payment.*"])
polled = of(WebhookWithSecret, create_webhook.sync(client=client, body=body))
assert (polled.delivery, polled.url) == (DeliveryMode.POLL, None), polled
event = NewEvent(type_="payment.failed", data=NewEventData(object_=json_object(id="pay_1")))
published = of(PublishedEvent, publish_event.sync(client=client, body=event))
page = of(PolledRequests, poll_webhook.sync(polled.id, client=client))
assert [request.headers["webhook-id"] for request in page.data] == [published.id], page
assert json.loads(page.data[0].body)["data"]["object"] == {"id": "pay_1"}, page
none = poll_webhook.sync_detailed(polled.id, client=client, cursor=page.next_cursor)
assert (none.parsed.data, none.parsed.has_more, none.headers["Retry-After"]) == ([], False, "1"), none

# Problems, and the routes without a token.
missing = of(Problem, read_webhook.sync("wh_01JMC9ZV2K4W7T5N8Q3R6X1Y0B", client=client))
assert missing.status == 404, missing
wrong = of(Problem, create_webhook.sync(client=client, body=NewWebhook(url="ftp://example.com", events=["*"])))
assert [fault.pointer for fault in wrong.errors] == ["#/url"], wrong
assert read_healthz.sync(client=Client(base_url=base)).status == "ok"

# A receiver reads each event with the model of its type.
with open(document) as file:
    # The models write UTC as +00:00.
    requests = json.loads(file.read().replace('Z"', '+00:00"'))["webhooks"]
assert len(requests) > 8, requests
for name, request in requests.items():
    content = request["post"]["requestBody"]["content"]["application/json"]
    if name != "event":  # any of the others
        model = getattr(models, content["schema"]["$ref"].split("/")[-1])
        assert model.from_dict(content["example"]).to_dict() == content["example"], name
print("the Python client works")
