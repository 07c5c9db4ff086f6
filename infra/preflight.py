"""Looks at a deployment before anything is changed: says where it goes, and refuses parameters that are unknown or need others, and
what the account's concurrency cannot bear. Prints the name of the stack, and the fingerprint of what is deployed.

infra/deploy runs it as `preflight.py NAME=VALUE... -- OPTION...`.
"""

import difflib
import hashlib
import itertools
import json
import pathlib
import sys

import boto3
import botocore.exceptions
from samcli.yamlhelper import yaml_parse

# Lambda leaves at least this much to functions without a reservation of their own.
UNRESERVED_LEAST = 100
RESERVATIONS = ["ApiReservedConcurrency", "PublishReservedConcurrency", "DeliverReservedConcurrency"]
TABLES = ["WebhooksTableName", "EventsTableName", "DeliveriesTableName"]
MAXIMA = ["PublishMaximumConcurrency", "DeliverMaximumConcurrency", "SlowDeliverMaximumConcurrency"]


PARAMETERS, OPTIONS = sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]


def option(name, default=None):
    """Returns the value of an option of `sam deploy`, as `--name value` or `--name=value`."""
    for index, argument in enumerate(OPTIONS):
        if argument == name and index + 1 < len(OPTIONS):
            return OPTIONS[index + 1]
        if argument.startswith(f"{name}="):
            return argument.removeprefix(f"{name}=")
    return default


def read_template():
    with open("template.yaml", encoding="utf-8") as template:
        return yaml_parse(template.read())


def defaults(template):
    return {name: str(parameter.get("Default", "")) for name, parameter in template["Parameters"].items()}


def given():
    pairs = (argument.partition("=") for argument in PARAMETERS)
    return {name: value.strip('"') for name, _, value in pairs}


def main():
    for name in ["--config-env", "--config-file"]:
        if option(name):
            raise SystemExit(f"{name} is not taken: it may name another stack than the one that is looked at here")
    template = read_template()
    known = defaults(template)
    for name in (tag.partition("=")[0] for tag in tags()):
        if name in known:
            raise SystemExit(f"{name} is a parameter, and stands after --tags: parameters come first")
    for name in given().keys() - known.keys():
        like = difflib.get_close_matches(name, known, 1)
        raise SystemExit(f"template.yaml has no parameter {name}" + (f"; did you mean {like[0]}?" if like else ""))
    stack = option("--stack-name", "hookline")
    try:
        session = boto3.Session(profile_name=option("--profile"), region_name=option("--region"))
        account = session.client("sts").get_caller_identity()["Account"]
        say(f"stack {stack}, account {account}, region {session.region_name}")
        present = present_of(session.client("cloudformation"), stack)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise SystemExit(f"AWS cannot be asked: {error}") from None
    parameters = {**known, **present, **given()}
    check_pairs(parameters)
    check_tables(present, parameters)
    print(stack, fingerprint(template, parameters))
    try:
        limits = session.client("lambda").get_account_settings()["AccountLimit"]
    except botocore.exceptions.ClientError as error:
        say(f"note: the account's concurrency is not known: {error}")
        return
    check_concurrency(limits, present, parameters)


def say(text):
    print(text, file=sys.stderr, flush=True)


def tags():
    """Returns the tags among the options."""
    after = OPTIONS[OPTIONS.index("--tags") + 1:] if "--tags" in OPTIONS else []
    return list(itertools.takewhile(lambda option: not option.startswith("-"), after))


def fingerprint(template, parameters):
    """Returns a hash that changes with what a version consists of: the code of the functions, their part of the template, and the parameters that
    this part refers to."""
    functions = {name: dict(template["Resources"][name]["Properties"]) for name in ["ApiFunction", "PublishFunction", "DeliverFunction"]}
    for function in functions.values():
        # Neither belongs to a version.
        del function["DeploymentPreference"], function["ReservedConcurrentExecutions"]
    part = json.dumps([template["Globals"], functions], sort_keys=True)
    part += json.dumps({name: condition for name, condition in template["Conditions"].items() if f'"{name}"' in part}, sort_keys=True)
    values = {name: value for name, value in parameters.items() if name != "Fingerprint" and (f'"{name}"' in part or f"${{{name}}}" in part)}
    code = [hashlib.sha256(pathlib.Path(f"target/lambda/{name}/bootstrap").read_bytes()).hexdigest() for name in ["api", "publish", "deliver"]]
    return hashlib.sha256(json.dumps([part, code, values], sort_keys=True).encode()).hexdigest()[:16]


def check_pairs(parameters):
    """Refuses a parameter without the one that it needs, which would fail in mid-deployment or be ignored."""
    for name, needed in [("DomainName", "CertificateArn"), ("CertificateArn", "DomainName"), ("HostedZoneId", "DomainName"),
                         ("SubnetIds", "SecurityGroupIds"), ("SecurityGroupIds", "SubnetIds"),
                         ("WebhooksTableName", "EventsTableName"), ("EventsTableName", "DeliveriesTableName"),
                         ("DeliveriesTableName", "WebhooksTableName")]:
        if parameters.get(name) and not parameters.get(needed):
            raise SystemExit(f"{name} needs {needed}")


def check_tables(present, parameters):
    """Refuses to change the tables of a stack that is deployed: the versions and roles would not fit together for a while, what waits on its
    queues would find no event and be dropped, and CloudFormation may delete the tables that it had."""
    changed = [name for name in TABLES if present and present.get(name, "") != parameters.get(name, "")]
    if changed:
        raise SystemExit(f"{', '.join(changed)}: the tables of a deployed stack cannot be changed. Deploy a new stack that uses them; see "
                         "infra/docs/operating.md, Use tables that exist")


def present_of(stacks, stack):
    """Returns the parameters of the stack as it is, or none if it is new."""
    try:
        described = stacks.describe_stacks(StackName=stack)["Stacks"][0]
    except stacks.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return {}
        raise
    return {one["ParameterKey"]: one.get("ParameterValue", "") for one in described.get("Parameters", [])}


def check_concurrency(limits, present, parameters):
    """Refuses reservations that Lambda would refuse in mid-deployment, and warns if the account has little."""
    def total(names, values):
        texts = (values.get(name, "") for name in names)
        return sum(int(text) for text in texts if text.isdecimal())

    free = limits["UnreservedConcurrentExecutions"] + total(RESERVATIONS, present)
    wanted = total(RESERVATIONS, parameters)
    if wanted and free - wanted < UNRESERVED_LEAST:
        raise SystemExit(f"{wanted} concurrent invocations are to be reserved, but of the account's {limits['ConcurrentExecutions']}, {free} are "
                         f"free, and {UNRESERVED_LEAST} must stay so. Reserve less, or ask AWS for a higher quota.")
    most = total(MAXIMA, parameters)
    if most > limits["ConcurrentExecutions"]:
        say(f"note: the queues may use {most} concurrent invocations, and the account has {limits['ConcurrentExecutions']}. Lambda throttles what "
            "is more, and nothing is lost. Ask AWS for a higher quota before there is load.")


if __name__ == "__main__":
    main()
