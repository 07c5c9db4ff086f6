// Uses the generated TypeScript types with openapi-fetch as a user would: client.js BASE TOKEN.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

const [baseUrl, token] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

/** Returns the data of an answer; a problem is an error. */
function of<Data>({ data, error }: { data?: Data; error?: unknown }): Data {
  assert.ok(data !== undefined, JSON.stringify(error));
  return data;
}

// Create. Nobody listens at this address, so deliveries stay pending after their first attempt.
const body = { url: "http://127.0.0.1:9/hooks", events: ["user.*"], description: "typescript" };
const webhook = of(await client.POST("/v1/webhooks", { body }));
assert.equal(webhook.status, "enabled");
const path = { id: webhook.id };
const changed = await client.PATCH("/v1/webhooks/{id}", { params: { path }, body: { description: "changed" } });
assert.equal(of(changed).description, "changed");

// Publish with a key: twice the same answer, and a problem for another body.
const event: components["schemas"]["NewEvent"] = {
  type: "user.updated",
  data: { object: { id: "usr_1", tags: ["a"] } },
  previous_data: { id: "usr_0" },
};
const keyed = { header: { "Idempotency-Key": "typescript-1" } };
const published = of(await client.POST("/v1/events", { params: keyed, body: event }));
assert.deepEqual(of(await client.POST("/v1/events", { params: keyed, body: event })), published);
assert.deepEqual(published.data.object.tags, ["a"]);
const other = { type: "user.created", data: { object: {} } };
const { error: reused } = await client.POST("/v1/events", { params: keyed, body: other });
assert.equal(reused?.type, "urn:hookline:problem:idempotency-key-reused");
const batch = of(await client.POST("/v1/events/batch", { body: { events: [event, other] } }));
assert.deepEqual(batch.data.map((entry) => "id" in entry), [true, true]);

// Page through a list.
const seen: string[] = [];
let cursor: string | undefined;
do {
  const page = of(await client.GET("/v1/events", { params: { query: { limit: 2, cursor, type: "user.updated" } } }));
  seen.push(...page.data.map((entry) => entry.id));
  cursor = page.next_cursor ?? undefined;
} while (cursor);
assert.equal(new Set(seen).size, 2);
assert.ok(seen.includes(published.id));
const enabled = of(await client.GET("/v1/webhooks", { params: { query: { status: "enabled", limit: 100 } } }));
assert.ok(enabled.data.some((entry) => entry.id === webhook.id));

// Cancel a delivery.
const { deliveries } = of(await client.GET("/v1/events/{id}", { params: { path: { id: published.id } } }));
const delivery = deliveries.find((entry) => entry.webhook_id === webhook.id);
assert.ok(delivery);
const cancelled = await client.POST("/v1/deliveries/{id}/cancel", { params: { path: { id: delivery.id } } });
assert.equal(of(cancelled).status, "cancelled");

// Rotate, and end the overlap.
const params = { path, header: { "Idempotency-Key": "typescript-2" } };
const rotated = await client.POST("/v1/webhooks/{id}/rotate-secret", { params, body: { overlap_seconds: 60 } });
assert.notEqual(of(rotated).secret, webhook.secret);
of(await client.POST("/v1/webhooks/{id}/rotate-secret/finish", { params: { path } }));

// Recover.
const since = new Date(Date.now() - 300_000).toISOString();
const recovery = of(await client.POST("/v1/webhooks/{id}/recover", { params: { path }, body: { since } }));
assert.ok(recovery.since <= recovery.until);

// Poll.
const polled = of(await client.POST("/v1/webhooks", { body: { delivery: "poll", events: ["payment.*"] } }));
assert.equal(polled.url, null);
const payment = { type: "payment.failed", data: { object: { id: "pay_1" } } };
const { id } = of(await client.POST("/v1/events", { body: payment }));
const poll = { path: { id: polled.id } };
const requests = of(await client.GET("/v1/webhooks/{id}/poll", { params: poll }));
assert.deepEqual(requests.data.map((request) => request.headers["webhook-id"]), [id]);
assert.deepEqual(JSON.parse(requests.data[0]!.body).data.object, payment.data.object);
const query = { cursor: requests.next_cursor };
const none = await client.GET("/v1/webhooks/{id}/poll", { params: { ...poll, query } });
assert.deepEqual(of(none).data, []);
assert.equal(none.response.headers.get("Retry-After"), "1");

// Problems, and the routes without a token.
const { error: wrong, response } = await client.POST("/v1/webhooks", { body: { url: "ftp://example.com", events: ["*"] } });
assert.deepEqual(wrong?.errors?.map((fault) => fault.pointer), ["#/url"]);
assert.ok(response.headers.get("X-Request-Id"));
assert.equal(of(await createClient<paths>({ baseUrl }).GET("/healthz")).status, "ok");
console.log("the TypeScript client works");
