"""Exercises a deployed stack, from the first token to the last dead letter, and asserts every step.

`run` starts it against the emulator, with AWS's usual environment variables set. The arguments are the operator's command:
`hookline operate` with its stack.
"""

import datetime
import hashlib
import hmac
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import boto3

OPERATE = sys.argv[1:]
STACK = OPERATE[OPERATE.index("--stack") + 1]
ACCOUNT = f"acme-{os.urandom(4).hex()}"
# Generous, because only a failure reaches it.
DEADLINE_S = 90
# Receipts after which the poison message becomes a dead letter. Takes seconds.
POISON_RECEIPTS = 3

aws = {name: boto3.client(name) for name in
       ["cloudformation", "dynamodb", "events", "iam", "lambda", "logs", "scheduler", "sqs"]}


def outputs():
    stack = aws["cloudformation"].describe_stacks(StackName=STACK)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def wait_for(what, look):
    """Polls `look` and returns its first truthy result."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise SystemExit(f"did not come: {what}")


def step(title):
    print(f"-- {title}", flush=True)


def operate(*arguments):
    done = subprocess.run([*OPERATE, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"hookline operate {arguments}: {done.stderr}")
    return done.stdout.strip()


class Receiver(http.server.ThreadingHTTPServer):
    """A receiver that keeps each request. It answers requests to `/later` with 503 until `ready` is set."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.requests, self.ready = [], False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def of(self, event):
        return [request for request in self.requests if request["headers"]["webhook-id"] == event]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.requests.append({"path": self.path, "headers": self.headers, "body": body})
        fails = self.path == "/later" and not self.server.ready
        self.send_response(503 if fails else 200)
        if fails:
            # Longer than a message can be delayed, so the attempt goes to the scheduler.
            self.send_header("Retry-After", "1000")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Api:
    """The deployed API. The emulator routes by the host name, which not every resolver resolves to this machine."""

    def __init__(self, url, token):
        self.host, self.token = url.split("//")[1], token
        self.base = f"http://127.0.0.1:{self.host.rsplit(':', 1)[1]}"

    def call(self, method, path, body=None, account=ACCOUNT):
        headers = {"Host": self.host, "Authorization": f"Bearer {self.token}", "Hookline-Account": account,
                   "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, method=method, data=data, headers=headers)
        try:
            return json.load(urllib.request.urlopen(request))
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}")

    def publish(self, name):
        event = {"type": "resource.created", "data": {"object": {"id": name}}}
        return self.call("POST", "/v1/events", event)["id"]

    def delivery(self, event):
        deliveries = self.call("GET", f"/v1/events/{event}")["deliveries"]
        assert len(deliveries) == 1, deliveries
        return self.call("GET", f"/v1/deliveries/{deliveries[0]['id']}")

    def delivered(self, event):
        def look():
            delivery = self.delivery(event)
            return delivery if delivery["status"] == "delivered" else None
        return wait_for(f"{event} is delivered", look)


def count(queue):
    attributes = ["ApproximateNumberOfMessages"]
    found = aws["sqs"].get_queue_attributes(QueueUrl=queue, AttributeNames=attributes)
    return int(found["Attributes"]["ApproximateNumberOfMessages"])


def queue_url(arn):
    return aws["sqs"].get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]


def delivery_through_the_stack(api, receiver):
    step("an event arrives, signed")
    webhook = api.call("POST", "/v1/webhooks", {"url": receiver.url("/in"), "events": ["resource.*"]})
    event = api.publish("first")
    request = wait_for("the first delivery", lambda: receiver.of(event))[0]
    signature = hmac.new(webhook["secret"].encode(), request["body"], hashlib.sha256).hexdigest()
    assert request["headers"]["X-Webhook-Signature"] == signature, request["headers"]
    delivery = api.delivered(event)
    assert [attempt["status_code"] for attempt in delivery["attempts"]] == [200], delivery
    return webhook, event


def retry_by_a_schedule(api, receiver, names):
    step("a failing receiver is tried again by a one-time schedule")
    group = names["ScheduleGroupName"]
    account = f"{ACCOUNT}-later"
    webhook = {"url": receiver.url("/later"), "events": ["*"]}
    api.call("POST", "/v1/webhooks", webhook, account)
    event = api.call("POST", "/v1/events", {"type": "user.created", "data": {"object": {}}}, account)["id"]
    wait_for("the first attempt", lambda: receiver.of(event))
    schedules = wait_for("a schedule", lambda: aws["scheduler"].list_schedules(GroupName=group)["Schedules"])
    assert len(schedules) == 1, schedules
    schedule = aws["scheduler"].get_schedule(GroupName=group, Name=schedules[0]["Name"])
    due = datetime.datetime.strptime(schedule["ScheduleExpression"], "at(%Y-%m-%dT%H:%M:%S)")
    wait_s = (due - datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)).total_seconds()
    assert 1000 - DEADLINE_S < wait_s <= 1001, schedule
    assert schedule["Target"]["Arn"].endswith(f":function:{STACK}-retry"), schedule
    assert schedule["ActionAfterCompletion"] == "DELETE", schedule
    delivery = json.loads(schedule["Target"]["Input"])["delivery"]
    history = json.loads(operate("history", "--account", account, delivery))
    assert history["status"] == "pending" and history["schedule"]["name"] == schedule["Name"], history
    # Brings the schedule forward, as an operator may, instead of waiting for a quarter of an hour.
    receiver.ready = True
    due = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    kept = ["Name", "GroupName", "FlexibleTimeWindow", "ActionAfterCompletion", "Target", "ScheduleExpressionTimezone"]
    aws["scheduler"].update_schedule(ScheduleExpression=due.strftime("at(%Y-%m-%dT%H:%M:%S)"),
                                     **{name: schedule[name] for name in kept})
    attempts = wait_for("the second attempt", lambda: receiver.of(event)[1:])
    assert attempts[0]["headers"]["X-Webhook-Attempt"] == "2", attempts[0]["headers"]
    wait_for("the schedule deletes itself", lambda: not aws["scheduler"].list_schedules(GroupName=group)["Schedules"])
    history = json.loads(operate("history", "--account", account, delivery))
    assert history["status"] == "delivered" and history["schedule"] is None, history


def poison(api, receiver, names):
    step("a message that panics fails alone, becomes a dead letter, and is redriven once its cause is fixed")
    queue, dead_letters = names["DeliveriesQueueUrl"], queue_url(names["DeliveriesDeadLettersArn"])
    # With the template's number of receipts this would take an hour, because each wait is longer than the one before.
    aws["sqs"].set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    usual = receipts(queue, POISON_RECEIPTS)
    tasks = []
    events = [api.publish("poison"), api.publish("beside it")]
    for event in events:
        delivery = api.delivered(event)
        tasks.append(json.dumps({"account": ACCOUNT, "delivery": delivery["id"], "epoch": 0,
                                 "trigger": f"manual.again-{event}"}))
    # No write of Hookline's makes this: a count of attempts that overflows with the next one.
    item = stored(names, events[0])
    broken = {**item, "attempts_made": {"N": str(2**32 - 1)}, "version": bumped(item)}
    aws["dynamodb"].put_item(TableName=names["DeliveriesTableName"], Item=broken)
    entries = [{"Id": str(index), "MessageBody": body, "MessageGroupId": "poison"} for index, body in enumerate(tasks)]
    sent = aws["sqs"].send_message_batch(QueueUrl=queue, Entries=entries)
    assert len(sent["Successful"]) == 2, sent
    wait_for("the healthy message's attempt", lambda: receiver.of(events[1])[1:])
    wait_for("a dead letter", lambda: count(dead_letters) == 1)
    returned = wait_for("the metric of messages given back", lambda: logged("deliver", "messages_returned"))
    assert all("messages_returned" in str(line["_aws"]["CloudWatchMetrics"]) for line in returned), returned
    assert len(receiver.of(events[0])) == 1, "the poison was sent"
    receipts(queue, usual)
    assert operate("redrive", "deliveries", "--dry-run") == tasks[0]

    broken = stored(names, events[0])
    aws["dynamodb"].put_item(TableName=names["DeliveriesTableName"],
                             Item={**broken, "attempts_made": {"N": "1"}, "version": bumped(broken)})
    operate("redrive", "deliveries")
    wait_for("the redriven attempt", lambda: receiver.of(events[0])[1:])
    assert count(dead_letters) == 0
    attempts = wait_for("its record", lambda: api.delivery(events[0])["attempts"][1:])
    assert attempts[0]["status_code"] == 200, attempts


def logged(function, field):
    """Returns the log lines of a function that have the field."""
    pages = aws["logs"].get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{STACK}-{function}")
    texts = [event["message"] for page in pages for event in page["events"]]
    return [json.loads(text) for text in texts if text.startswith("{") and f'"{field}":' in text]


def receipts(queue, count):
    """Sets the receipts that the queue allows before a message becomes a dead letter. Returns the previous number."""
    found = aws["sqs"].get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])
    policy = json.loads(found["Attributes"]["RedrivePolicy"])
    changed = json.dumps({**policy, "maxReceiveCount": count})
    aws["sqs"].set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": changed})
    return int(policy["maxReceiveCount"])


def stalled(api, receiver, names):
    step("a delivery that has lost its task is found, and goes on")
    assert operate("stalled") == ""
    event = api.publish("stalled")
    delivery = api.delivered(event)
    # The state after a failed first attempt, with the message for the second attempt lost.
    item = stored(names, event)
    due = {"N": str(int((time.time() - 3600) * 1000))}
    lost = {**item, "status": {"S": "pending"}, "next_attempt_at": due, "version": bumped(item)}
    aws["dynamodb"].put_item(TableName=names["DeliveriesTableName"], Item=lost)
    found = operate("stalled", "--account", ACCOUNT, "--enqueue").split("\t")
    assert found[:3] == [ACCOUNT, delivery["id"], "attempt overdue"], found
    attempts = wait_for("the second attempt", lambda: receiver.of(event)[1:])
    assert attempts[0]["headers"]["X-Webhook-Attempt"] == "2", attempts[0]["headers"]
    api.delivered(event)
    assert operate("stalled") == ""


def stored(names, event):
    items = aws["dynamodb"].scan(TableName=names["DeliveriesTableName"])["Items"]
    return next(item for item in items if item["id"]["S"] == event)


def bumped(item):
    return {"N": str(int(item["version"]["N"]) + 1)}


def producers_events(receiver, names):
    step("events that producers inside AWS put on the queue and on the bus are delivered")

    def message(name):
        return json.dumps({"account": ACCOUNT, "type": "resource.updated", "data": {"object": {"id": name}}})

    aws["sqs"].send_message(QueueUrl=names["EventsQueueUrl"], MessageBody=message("by-queue"))
    put = aws["events"].put_events(Entries=[{"Source": "producer", "DetailType": name, "Detail": message(detail)}
                                            for name, detail in [("hookline.event", "by-bus"), ("other", "not-ours")]])
    assert put["FailedEntryCount"] == 0, put
    for name in [b"by-queue", b"by-bus"]:
        wait_for(name, lambda: [request for request in receiver.requests if name in request["body"]])
    assert not [request for request in receiver.requests if b"not-ours" in request["body"]]


def main():
    names = outputs()
    step("the first platform token")
    token = operate("token", "--description", "the emulator's check")
    api, receiver = Api(names["ApiUrl"], token), Receiver()
    delivery_through_the_stack(api, receiver)
    producers_events(receiver, names)
    retry_by_a_schedule(api, receiver, names)
    poison(api, receiver, names)
    stalled(api, receiver, names)
    print(token, file=open("token", "w"))
    print(names["ApiUrl"], file=open("url", "w"))


main()
