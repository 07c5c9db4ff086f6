"""Checks that the teardown left nothing that AWS would charge for."""

import boto3

left = [
    *boto3.client("dynamodb").list_tables()["TableNames"],
    *boto3.client("sqs").list_queues().get("QueueUrls", []),
    *[function["FunctionName"] for function in boto3.client("lambda").list_functions()["Functions"]],
    *[schedule["Name"] for schedule in boto3.client("scheduler").list_schedules()["Schedules"]],
    *[role["RoleName"] for role in boto3.client("iam").list_roles()["Roles"] if role["RoleName"].startswith("hookline")],
    *[alarm["AlarmName"] for alarm in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]],
    *[group["logGroupName"] for group in boto3.client("logs").describe_log_groups()["logGroups"]],
]
assert not left, f"left after the teardown: {left}"
