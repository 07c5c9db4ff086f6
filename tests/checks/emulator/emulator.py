"""Starts ministack, an emulator of AWS, corrected where it differs from AWS. Takes ministack's own environment variables.

Each correction says what AWS does and what ministack does. What is corrected here, the emulator does not test: the tests on the
template do, and infra/checks/aws/run against AWS itself.
"""

import functools
import json
import threading
import uuid

import ministack.app
from ministack.core import iam_actions
from ministack.services.cloudformation import changesets, engine, handlers, provisioners
from samtranslator.translator import transform

# AWS's name of each action that covers a call of another name.
COVERING_ACTIONS = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}
# The types of resources that are recorded as made, changed and deleted, without anything behind them.
RECORDED_TYPES = ["AWS::Logs::QueryDefinition", "AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup"]

values = threading.local()


def corrects(module, name):
    """Replaces a function of ministack. The new one gets the old one as its first argument. Fails if there is no old one."""
    def replace(corrected):
        original = getattr(module, name)
        setattr(module, name, functools.wraps(original)(functools.partial(corrected, original)))
        return corrected
    return replace


@corrects(iam_actions, "extract_iam_action")
def batches_need_the_action_of_one(original, *request):
    """In IAM, `sqs:SendMessage` covers `SendMessageBatch`, and so on. ministack asks for an action of the batch's name."""
    action = original(*request)
    return COVERING_ACTIONS.get(action, action)


@corrects(iam_actions, "extract_resource_arn")
def schedules_have_a_group(original, service, method, path, headers, body, query_params, region, account):
    """The ARN of a schedule names its group, which the request has in its body or its query. ministack puts `default` there."""
    arn = original(service, method, path, headers, body, query_params, region, account)
    if service != "scheduler" or ":schedule/default/" not in arn:
        return arn
    group = json.loads(body or "{}").get("GroupName") or query_params.get("groupName") or "default"
    return arn.replace("/default/", f"/{group[0] if isinstance(group, list) else group}/")


@corrects(changesets, "_apply_transforms")
@corrects(handlers, "_apply_transforms")
def transforms_get_parameters(original, template, provided=None, previous=None):
    """CloudFormation passes the values of parameters to each transform. ministack passes none to SAM's, which works with the defaults then."""
    values.of_parameters = engine._transform_parameters(template, provided, previous)
    return original(template, provided, previous)


@corrects(transform, "transform")
def sam_gets_parameters(original, template, _none, *others):
    """The same: this is SAM's transform, which runs in the thread of the one above."""
    return original(template, dict(values.of_parameters), *others)


@corrects(provisioners, "_cw_metric_alarm_record")
def alarms_may_be_expressions(original, name, properties):
    """An alarm may watch an expression of several metrics. ministack refuses it. Here it is kept, and watches a metric that has no data."""
    if not properties.get("Metrics"):
        return original(name, properties)
    nothing = {"Metrics": None, "Namespace": "emulator", "MetricName": "nothing"}
    return original(name, {**properties, **nothing})


def concurrency_is_a_number():
    """CloudFormation passes a parameter of type Number as a number. ministack passes text, which its poller of queues cannot use."""
    mapping = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
    create, update = mapping["create"], mapping["update"]

    def numbered(properties):
        return {**properties, "ScalingConfig": {"MaximumConcurrency": int(properties["ScalingConfig"]["MaximumConcurrency"])}}

    mapping["create"] = lambda logical_id, properties, stack: create(logical_id, numbered(properties), stack)
    mapping["update"] = lambda physical_id, old, new, stack: update(physical_id, numbered(old), numbered(new), stack)


def types_are_recorded():
    """AWS has these types. ministack does not know them."""
    for resource_type in RECORDED_TYPES:
        if resource_type in provisioners._RESOURCE_HANDLERS:
            raise SystemExit(f"ministack knows {resource_type} now")
        provisioners._RESOURCE_HANDLERS[resource_type] = {
            "create": lambda logical_id, properties, stack: (f"{stack}-{logical_id}-{uuid.uuid4().hex[:8]}", {}),
            "update": lambda physical_id, old, new, stack: (physical_id, {}),
            "delete": lambda physical_id, properties: None,
        }


concurrency_is_a_number()
types_are_recorded()
if __name__ == "__main__":
    ministack.app.main()
