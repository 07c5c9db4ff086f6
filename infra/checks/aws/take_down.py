"""Deletes a stack, and checks that nothing of it is left.

    take_down.py STACK
"""

import re
import subprocess
import sys
import time

import boto3

STACK = sys.argv[1]
# Nobody is to take a stack down by mistake that is none of a check.
if not re.fullmatch("hookline-(check|other)-[0-9a-f]{8}", STACK):
    raise SystemExit(f"{STACK} is no stack of a check")
# AWS shows some things for minutes after they are deleted.
DEADLINE_S = 300
REAL = ".amazonaws.com" in boto3.client("sts").meta.endpoint_url


def every(service, operation, key, **arguments):
    """Returns the items of all pages."""
    pages = boto3.client(service).get_paginator(operation).paginate(**arguments)
    return [item for page in pages for item in page.get(key, [])]


def versions_of_stack():
    """Returns the stacks of this name, also those that are deleted, the latest first."""
    return [stack for stack in every("cloudformation", "list_stacks", "StackSummaries") if stack["StackName"] == STACK]


def settle():
    """Waits until CloudFormation no longer changes the stack. Until then it refuses to delete it."""
    while any(stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != "REVIEW_IN_PROGRESS"
              for stack in versions_of_stack()):
        time.sleep(5)


def artifacts():
    """Returns all versions of the files that deployments of the stack have put in the SAM CLI's bucket. `sam delete` leaves some."""
    buckets = [resource["PhysicalResourceId"] for stack in every("cloudformation", "list_stacks", "StackSummaries")
               if stack["StackName"] == "aws-sam-cli-managed-default" and stack["StackStatus"] != "DELETE_COMPLETE"
               for resource in every("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack["StackId"])
               if resource["ResourceType"] == "AWS::S3::Bucket"]
    return [version for bucket in buckets for version in boto3.resource("s3").Bucket(bucket).object_versions.filter(Prefix=f"{STACK}/")]


def named(names):
    """Returns the names of the stack's things. CloudFormation and the template begin them with the stack's name."""
    return [name for name in names if name == STACK or name.rsplit("/", 1)[-1] == STACK or f"{STACK}-" in name]


def left():
    """Returns what AWS would charge for, and whatever CloudFormation says that it has not deleted."""
    return [
        *named(every("dynamodb", "list_tables", "TableNames")),
        *named(every("sqs", "list_queues", "QueueUrls", QueueNamePrefix=STACK)),
        *named(function["FunctionName"] for function in every("lambda", "list_functions", "Functions")),
        *named(group["Name"] for group in every("scheduler", "list_schedule_groups", "ScheduleGroups", NamePrefix=STACK)),
        *[schedule["Name"] for schedule in every("scheduler", "list_schedules", "Schedules") if schedule["GroupName"] == STACK],
        *named(role["RoleName"] for role in every("iam", "list_roles", "Roles")),
        *named(alarm["AlarmName"] for alarm in every("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=STACK)),
        *named(board["DashboardName"] for board in every("cloudwatch", "list_dashboards", "DashboardEntries", DashboardNamePrefix=STACK)),
        *named(group["logGroupName"] for group in every("logs", "describe_log_groups", "logGroups")),
        *[artifact.object_key for artifact in artifacts()],
        *named(api["Name"] for api in every("apigatewayv2", "get_apis", "Items")),
        *[stack["StackId"] for stack in versions_of_stack() if stack["StackStatus"] != "DELETE_COMPLETE"],
        *[resource["PhysicalResourceId"] for stack in versions_of_stack()
          for resource in every("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack["StackId"])
          if resource["ResourceStatus"] != "DELETE_COMPLETE" and not is_of_a_function(resource)],
    ]


def is_of_a_function(resource):
    """Whether a resource goes with its function: SAM lets CloudFormation keep versions."""
    return resource["ResourceType"] == "AWS::Lambda::Version" and resource["ResourceStatus"] == "DELETE_SKIPPED"


settle()
subprocess.run(["infra/sam", "delete", "--stack-name", STACK, "--no-prompts"], check=True)
# The SAM CLI does not see a stack that has only a change set.
boto3.client("cloudformation").delete_stack(StackName=STACK)
for artifact in artifacts():
    artifact.delete()
deadline = time.monotonic() + (DEADLINE_S if REAL else 0)
while (found := left()) and time.monotonic() < deadline:
    time.sleep(10)
if found:
    raise SystemExit(f"left of the stack {STACK}: {found}")
