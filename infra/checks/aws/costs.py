"""Prints what a stack has used so far and what it costs, at the list prices of us-east-1 without free tiers.

    costs.py STACK SECONDS

SECONDS is how long ago the stack began. The counts are AWS's own metrics. Where there are none, as on an emulator, it says so, and what
the log lines of `deliver` say is left. An estimate: SQS counts messages, of which one request may carry ten; not included are data transfer,
the storage of tables, and the artifacts in S3.
"""

import datetime
import json
import math
import re
import sys
import time

import boto3

STACK, SECONDS = sys.argv[1], int(sys.argv[2])
# The metrics of a moment come some minutes later.
METRICS_COME_AFTER_S = 300
LOGS_GIGABYTE, ALARM_MONTH, METRIC_MONTH, HOURS = 0.50, 0.10, 0.30, 730

resources = {}
for page in boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK):
    for resource in page["StackResourceSummaries"]:
        resources.setdefault(resource["ResourceType"], []).append(resource["PhysicalResourceId"])
metrics = boto3.client("cloudwatch")
functions = boto3.client("lambda")


def prices():
    """Returns the prices in dollars, from the one table of them."""
    with open("shared/domain/src/cost.rs", encoding="utf-8") as source:
        table = source.read().split("US_EAST_1: Prices = Prices {")[1].split("}")[0]
    return {name: int(price) / 1e12 for name, price in re.findall(r"(\w+): ([\d_]+),", table)}


def total(namespace, metric, dimension, names):
    """Returns the sum of a metric over all these names, or None if there is no such metric."""
    values = []
    now = datetime.datetime.now(datetime.timezone.utc)
    begin = now - datetime.timedelta(seconds=SECONDS + 60)
    for name in names:
        points = metrics.get_metric_statistics(Namespace=namespace, MetricName=metric, Dimensions=[{"Name": dimension, "Value": name}],
                                               StartTime=begin, EndTime=now, Period=60 * math.ceil(SECONDS / 60 + 1), Statistics=["Sum"])
        values += [point["Sum"] for point in points["Datapoints"]]
    return sum(values) if values else None


def of(kind):
    return resources.get(f"AWS::{kind}", [])


def used():
    """Yields each item: its name, its count or None, and the price of one."""
    price = prices()
    tables, names = of("DynamoDB::Table"), of("Lambda::Function")
    queues = [url.rsplit("/", 1)[-1] for url in of("SQS::Queue")]
    yield "requests to the API", total("AWS/ApiGateway", "Count", "ApiId", of("ApiGatewayV2::Api")), price["api_request"]
    for metric in ["NumberOfMessagesSent", "NumberOfMessagesReceived", "NumberOfMessagesDeleted", "NumberOfEmptyReceives"]:
        yield f"SQS, {metric}", total("AWS/SQS", metric, "QueueName", queues), price["sqs_request"]
    yield "Lambda, invocations", total("AWS/Lambda", "Invocations", "FunctionName", names), price["invocation"]
    for name in names:
        memory = functions.get_function_configuration(FunctionName=name)["MemorySize"]
        yield f"Lambda, ms of {name}", total("AWS/Lambda", "Duration", "FunctionName", [name]), price["gigabyte_second"] * memory / 1024 / 1000
    yield "DynamoDB, write units", total("AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", tables), price["write_unit"]
    yield "DynamoDB, read units", total("AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", tables), price["read_unit"]
    yield "schedules that fired", total("AWS/Scheduler", "InvocationAttemptCount", "ScheduleGroup", of("Scheduler::ScheduleGroup")), price["schedule"]
    yield "bytes of logs", total("AWS/Logs", "IncomingBytes", "LogGroupName", of("Logs::LogGroup")), LOGS_GIGABYTE / 2**30
    # Both are charged by the hour.
    hours = math.ceil(SECONDS / 3600)
    yield "hours of alarms", len(of("CloudWatch::Alarm")) * hours, ALARM_MONTH / HOURS
    custom = [name for name in names for page in metrics.get_paginator("list_metrics").paginate(
        Namespace="Hookline", Dimensions=[{"Name": "function_name", "Value": name}]) for _ in page["Metrics"]]
    yield "hours of Hookline's metrics", len(custom) * hours, METRIC_MONTH / HOURS


def by_log_lines():
    """Returns what the log lines of `deliver` say: the attempts, and the cost of all lines."""
    pages = boto3.client("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{STACK}-deliver")
    texts = [event["message"] for page in pages for event in page["events"]]
    lines = [json.loads(text) for text in texts if text.startswith("{") and '"cost_picodollars":' in text]
    keys = ["attempts", "read_units", "write_units", "lambda_ms", "cost_picodollars"]
    return {key: sum(line.get(key, 0) for line in lines) for key in keys}


if ".amazonaws.com" in metrics.meta.endpoint_url:
    time.sleep(METRICS_COME_AFTER_S)
print(f"   the stack {STACK} so far")
dollars = 0
for name, count, each in used():
    dollars += (count or 0) * each
    print(f"   {name:45} " + (f"{count:12,.0f}   ${count * each:.6f}" if count is not None else "   no metric"))
print(f"   {'in all':45} {'':12}   ${dollars:.6f}")
lines = by_log_lines()
print(f"   of it deliver, by its log lines: {lines['attempts']} attempts, {lines['write_units']:.0f} write units, {lines['read_units']:.0f} read units, "
      f"{lines['lambda_ms']:.0f} ms: ${lines['cost_picodollars'] / 1e12:.6f}")
