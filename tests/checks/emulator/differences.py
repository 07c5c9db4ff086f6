"""Corrects, right after a deployment, where ministack differs from AWS.

The emulator therefore does not test what is patched here. The tests on the template do.
"""

import json
import sys

import boto3

STACK = sys.argv[1]


def concurrency_is_a_number():
    """CloudFormation passes a parameter of type Number as a number. ministack passes text, which its poller cannot use."""
    functions = boto3.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        concurrency = int(mapping["ScalingConfig"]["MaximumConcurrency"])
        functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": concurrency})


def permissions_by_aws_names():
    """In IAM, `sqs:SendMessage` and `sqs:ChangeMessageVisibility` cover batches, and a schedule's ARN names its group. In ministack neither is so."""
    iam = boto3.client("iam")
    resources = boto3.client("cloudformation").list_stack_resources(StackName=STACK)["StackResourceSummaries"]
    for role in [resource["PhysicalResourceId"] for resource in resources if resource["ResourceType"] == "AWS::IAM::Role"]:
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for statement in policy["Statement"]:
                if "sqs:SendMessage" in statement["Action"]:
                    statement["Action"].append("sqs:SendMessageBatch")
                if "sqs:ChangeMessageVisibility" in statement["Action"]:
                    statement["Action"].append("sqs:ChangeMessageVisibilityBatch")
                if "scheduler:CreateSchedule" in statement["Action"]:
                    statement["Resource"] = [arn.replace(f"schedule/{STACK}/", "schedule/default/")
                                             for arn in statement["Resource"]]
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))


concurrency_is_a_number()
permissions_by_aws_names()
