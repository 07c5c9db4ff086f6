"""Exercises a deployed stack, from the first token to the last dead letter, and asserts every step.

`run` starts it against AWS or an emulator, with AWS's usual environment variables set.
"""

import argparse
import datetime
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import boto3

options = argparse.ArgumentParser()
options.add_argument("--stack", required=True, help="the stack to test")
options.add_argument("--other", required=True, help="another stack of the same account and region, which is taken down")
options.add_argument("--receiver-url", required=True, help="the URL that leads to the receiver's port")
options.add_argument("--receiver-port", required=True, type=int, help="the port to receive on")
options.add_argument("--operate", required=True, help="the command line `hookline`")
options.add_argument("--url-to", required=True, help="the file to write the API's URL to")
options.add_argument("--token-to", required=True, help="the file to write a platform token to")
options.add_argument("--parameters", nargs="*", default=[], help="the parameters that the stacks were deployed with")
OPTIONS = options.parse_args()
STACK = OPTIONS.stack
HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
ACCOUNT = f"acme-{os.urandom(4).hex()}"
IS_EMULATOR = "AWS_ENDPOINT_URL" in os.environ
# Generous, because only a failure reaches it. AWS fires a schedule up to a minute after it is due, and shows some things late.
DEADLINE_S = 90 if IS_EMULATOR else 300
# How far ahead a schedule is brought forward to. AWS does not take a moment in the past.
SOON_S = 1 if IS_EMULATOR else 30
# How long SQS takes to apply changed attributes.
APPLIED_S = 0 if IS_EMULATOR else 60
# The `Retry-After` of a delivery that waits in a schedule: longer than a message can be delayed, and than an update takes.
LATER_S = 3600
# How long a message is delayed that is to be pending while the stack is updated. CodeDeploy moves the traffic for minutes.
DELAY_S = 30 if IS_EMULATOR else 240
# Receipts after which the poison message becomes a dead letter. Takes seconds.
POISON_RECEIPTS = 3

aws = {name: boto3.client(name) for name in
       ["cloudformation", "dynamodb", "events", "iam", "lambda", "logs", "scheduler", "sqs"]}


def outputs(stack):
    stack = aws["cloudformation"].describe_stacks(StackName=stack)["Stacks"][0]
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


def operate(*arguments, stack=STACK):
    done = subprocess.run([OPTIONS.operate, "operate", "--stack", stack, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"hookline operate {arguments}: {done.stderr}")
    return done.stdout.strip()


class Receiver(http.server.ThreadingHTTPServer):
    """A receiver that keeps each request. It answers requests to `/later` with 503 until `ready` is set, and to `/delayed` the first time."""

    def __init__(self):
        super().__init__(("127.0.0.1", OPTIONS.receiver_port), Answer)
        self.requests, self.ready = [], False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return OPTIONS.receiver_url + path

    def of(self, event):
        return [request for request in self.requests if request["headers"]["webhook-id"] == event]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.requests.append({"path": self.path, "headers": self.headers, "body": body})
        wait_s = None
        if self.path == "/later" and not self.server.ready:
            wait_s = LATER_S
        if self.path == "/delayed" and self.headers["x-webhook-attempt"] == "1":
            wait_s = DELAY_S
        self.send_response(503 if wait_s else 200)
        if wait_s:
            self.send_header("Retry-After", str(wait_s))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Api:
    """A deployed API. Names below `localhost` mean this machine (RFC 6761), but not every resolver knows them."""

    def __init__(self, url, token):
        url = urllib.parse.urlsplit(url)
        self.host, self.token = url.netloc, token
        reached = f"127.0.0.1:{url.port}" if url.hostname.endswith(".localhost") else url.netloc
        self.base = f"{url.scheme}://{reached}"

    def call(self, method, path, body=None, account=ACCOUNT):
        headers = {"Host": self.host, "Authorization": f"Bearer {self.token}", "Hookline-Account": account,
                   "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, method=method, data=data, headers=headers)
        try:
            return json.load(urllib.request.urlopen(request))
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}")

    def register(self, url, account=ACCOUNT):
        return self.call("POST", "/v1/webhooks", {"url": url, "events": ["resource.*"]}, account)

    def publish(self, name, account=ACCOUNT):
        event = {"type": "resource.created", "data": {"object": {"id": name}}}
        return self.call("POST", "/v1/events", event, account)["id"]

    def delivery(self, event, account=ACCOUNT):
        deliveries = self.call("GET", f"/v1/events/{event}", account=account)["deliveries"]
        assert len(deliveries) == 1, deliveries
        return self.call("GET", f"/v1/deliveries/{deliveries[0]['id']}", account=account)

    def delivered(self, event, account=ACCOUNT):
        def look():
            delivery = self.delivery(event, account)
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
    webhook = api.register(receiver.url("/in"))
    event = api.publish("first")
    request = wait_for("the first delivery", lambda: receiver.of(event))[0]
    signature = hmac.new(webhook["secret"].encode(), request["body"], hashlib.sha256).hexdigest()
    assert request["headers"]["X-Webhook-Signature"] == signature, request["headers"]
    delivery = api.delivered(event)
    assert [attempt["status_code"] for attempt in delivery["attempts"]] == [200], delivery


def retry_by_a_schedule(api, receiver, names):
    step("a failing receiver is tried again by a one-time schedule")
    group = names["ScheduleGroupName"]
    account = f"{ACCOUNT}-later"
    api.register(receiver.url("/later"), account)
    event = api.publish("later", account)
    wait_for("the first attempt", lambda: receiver.of(event))
    schedule = the_schedule(group)
    due = datetime.datetime.strptime(schedule["ScheduleExpression"], "at(%Y-%m-%dT%H:%M:%S)")
    wait_s = (due - datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)).total_seconds()
    assert LATER_S - DEADLINE_S < wait_s <= LATER_S + 1, schedule
    assert schedule["Target"]["Arn"].endswith(f":function:{STACK}-retry"), schedule
    assert schedule["ActionAfterCompletion"] == "DELETE", schedule
    delivery = json.loads(schedule["Target"]["Input"])["delivery"]
    history = json.loads(operate("history", "--account", account, delivery))
    assert history["status"] == "pending" and history["schedule"]["name"] == schedule["Name"], history
    receiver.ready = True
    bring_forward(schedule)
    attempts = wait_for("the second attempt", lambda: receiver.of(event)[1:])
    assert attempts[0]["headers"]["X-Webhook-Attempt"] == "2", attempts[0]["headers"]
    wait_for("the schedule deletes itself", lambda: not aws["scheduler"].list_schedules(GroupName=group)["Schedules"])
    history = json.loads(operate("history", "--account", account, delivery))
    assert history["status"] == "delivered" and history["schedule"] is None, history


def the_schedule(group):
    """Waits for a schedule in the group, and returns the only one."""
    schedules = wait_for("a schedule", lambda: aws["scheduler"].list_schedules(GroupName=group)["Schedules"])
    assert len(schedules) == 1, schedules
    return aws["scheduler"].get_schedule(GroupName=group, Name=schedules[0]["Name"])


def bring_forward(schedule):
    """Brings a schedule forward, as an operator may, instead of waiting for an hour."""
    due = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=SOON_S)
    kept = ["Name", "GroupName", "FlexibleTimeWindow", "ActionAfterCompletion", "Target", "ScheduleExpressionTimezone"]
    aws["scheduler"].update_schedule(ScheduleExpression=due.strftime("at(%Y-%m-%dT%H:%M:%S)"),
                                     **{name: schedule[name] for name in kept})


def update_while_deliveries_are_pending(api, receiver, names):
    step("all functions are updated while one delivery waits in a schedule and one on the queue: both go on, and nothing is lost")
    receiver.ready = False
    accounts = {path: f"{ACCOUNT}{path.replace('/', '-')}-update" for path in ["/later", "/delayed"]}
    events = {}
    for path, account in accounts.items():
        api.register(receiver.url(path), account)
        events[path] = api.publish("pending", account)
        wait_for("the first attempt", lambda: receiver.of(events[path]))
    schedule = the_schedule(names["ScheduleGroupName"])
    days = {name: int(settings(name)["RETENTION_DAYS"]) + 1 for name in ["api:live", "publish:live", "deliver:live", "retry"]}
    assert len(set(days.values())) == 1, days
    deploy(STACK, f"RetentionDays={days['retry']}")
    for name in days:
        assert int(settings(name)["RETENTION_DAYS"]) == days[name], f"{name} was not updated"
    assert len(receiver.of(events["/later"])) == 1
    receiver.ready = True
    bring_forward(schedule)
    for path, account in accounts.items():
        delivery = api.delivered(events[path], account)
        assert [attempt["status_code"] for attempt in delivery["attempts"]] == [503, 200], delivery
        assert [request["headers"]["x-webhook-attempt"] for request in receiver.of(events[path])] == ["1", "2"]
    assert operate("stalled") == ""


def settings(function):
    """Returns the variables of a function, of the version that an alias leads to if `function` names one."""
    return aws["lambda"].get_function_configuration(FunctionName=f"{STACK}-{function}")["Environment"]["Variables"]


def deploy(stack, *parameters):
    command = [ROOT / "infra/deploy", "--stack-name", stack, "--no-confirm-changeset", "--no-progressbar", *parameters]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")


def two_stacks(api, receiver):
    step("two stacks side by side do not see each other")
    other = Api(outputs(OPTIONS.other)["ApiUrl"], operate("token", "--description", "the check of two stacks", stack=OPTIONS.other))
    other.register(receiver.url("/other"))
    events = {"/in": api.publish("of one"), "/other": other.publish("of the other")}
    api.delivered(events["/in"])
    other.delivered(events["/other"])
    for path, event in events.items():
        assert [request["path"].endswith(path) for request in receiver.of(event)] == [True], receiver.of(event)
    try:
        urllib.request.urlopen(urllib.request.Request(api.base + "/v1/webhooks", headers={"Host": api.host, "Authorization": f"Bearer {other.token}"}))
        raise SystemExit("a token of the one stack is valid in the other")
    except urllib.error.HTTPError as error:
        assert error.code == 401, error
    step("the teardown of one stack leaves the other as it was")
    take_down()
    api.delivered(api.publish("after the teardown"))
    adopted_tables(api, receiver, events["/in"])


def take_down():
    done = subprocess.run([sys.executable, HERE / "take_down.py", OPTIONS.other], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def adopted_tables(api, receiver, event):
    step("a new stack uses the tables of another, by their names")
    names = outputs(STACK)
    tables = [f"{name}={value}" for name, value in names.items() if name.endswith("TableName")]
    deploy(OPTIONS.other, *OPTIONS.parameters, *tables)
    adopting = outputs(OPTIONS.other)
    assert all(adopting[name] == value for name, value in names.items() if name.endswith("TableName")), adopting
    # The token, the webhook and the event are those of the other stack.
    adopting = Api(adopting["ApiUrl"], api.token)
    assert adopting.delivery(event)["status"] == "delivered"
    through = adopting.publish("through the adopting stack")
    adopting.delivered(through)
    assert len(receiver.of(through)) == 1
    take_down()
    api.delivered(api.publish("after its teardown"))


def poison(api, receiver, names):
    step("a message that panics fails alone, becomes a dead letter, and is redriven once its cause is fixed")
    queue, dead_letters = names["DeliveriesQueueUrl"], queue_url(names["DeliveriesDeadLettersArn"])
    # With the template's number of receipts this would take an hour, because each wait is longer than the one before.
    hidden = aws["sqs"].get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])["Attributes"]
    aws["sqs"].set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    usual = receipts(queue, POISON_RECEIPTS)
    time.sleep(APPLIED_S)
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
    aws["sqs"].set_queue_attributes(QueueUrl=queue, Attributes=hidden)
    time.sleep(APPLIED_S)
    wait_for("the dead letter as an operator sees it", lambda: operate("redrive", "deliveries", "--dry-run") == tasks[0])

    broken = stored(names, events[0])
    aws["dynamodb"].put_item(TableName=names["DeliveriesTableName"],
                             Item={**broken, "attempts_made": {"N": "1"}, "version": bumped(broken)})
    operate("redrive", "deliveries")
    wait_for("the redriven attempt", lambda: receiver.of(events[0])[1:])
    wait_for("no dead letter is left", lambda: count(dead_letters) == 0)
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
    items = aws["dynamodb"].scan(TableName=names["DeliveriesTableName"], ConsistentRead=True)["Items"]
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
    names = outputs(STACK)
    step("the first platform token")
    token = operate("token", "--description", "the check of the deployed stack")
    api, receiver = Api(names["ApiUrl"], token), Receiver()
    delivery_through_the_stack(api, receiver)
    producers_events(receiver, names)
    retry_by_a_schedule(api, receiver, names)
    poison(api, receiver, names)
    stalled(api, receiver, names)
    two_stacks(api, receiver)
    update_while_deliveries_are_pending(api, receiver, names)
    pathlib.Path(OPTIONS.token_to).write_text(token)
    pathlib.Path(OPTIONS.url_to).write_text(names["ApiUrl"])


main()
