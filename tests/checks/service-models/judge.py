"""Checks recorded requests against AWS's service models.

Each line is `{"service", "operation", "parameters"}`. botocore's own validation checks required members, types and minimums. It
leaves maximums, patterns and enums to the services, so they are checked here.
"""

import json
import re
import sys
from collections import Counter

import botocore.session
from botocore.validate import ParamValidator

# Character classes in the models' patterns that Python's re does not have.
JAVA_CLASSES = {r"\p{L}": r"^\W\d_", r"\p{Z}": r"\s", r"\p{N}": r"\d", r"\p{Alnum}": r"a-zA-Z0-9"}


def matches(pattern, text):
    for java, python in JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.fullmatch(pattern, text) is not None


def faults(shape, value, path):
    """Yields what is wrong with a value, beyond what botocore checks."""
    limits = shape.metadata
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if name in value:
                yield from faults(member, value[name], f"{path}.{name}")
    elif shape.type_name == "list":
        yield from length(limits, len(value), path, "items")
        for index, item in enumerate(value):
            yield from faults(shape.member, item, f"{path}[{index}]")
    elif shape.type_name == "map":
        yield from length(limits, len(value), path, "entries")
        for key, item in value.items():
            yield from faults(shape.key, key, f"{path} key {key}")
            yield from faults(shape.value, item, f"{path}.{key}")
    elif shape.type_name in ("string", "blob"):
        yield from length(limits, len(value), path, "characters")
        if "pattern" in limits and not matches(limits["pattern"], value):
            yield f"{path}: {value!r} does not match {limits['pattern']}"
        if getattr(shape, "enum", None) and value not in shape.enum:
            yield f"{path}: {value!r} is none of {shape.enum}"
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from length(limits, value, path, "as a number")


def length(limits, amount, path, unit):
    if "max" in limits and amount > limits["max"]:
        yield f"{path}: {amount} {unit}, at most {limits['max']}"
    if "min" in limits and amount < limits["min"]:
        yield f"{path}: {amount} {unit}, at least {limits['min']}"


def judge(models, request):
    model = models(request["service"]).operation_model(request["operation"])
    shape, parameters = model.input_shape, request["parameters"]
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        yield report.generate_report()
        return
    yield from faults(shape, parameters, request["operation"])


def main(path):
    session = botocore.session.get_session()
    models, seen, wrong = {}, Counter(), set()

    def model(service):
        if service not in models:
            models[service] = session.get_service_model(service)
        return models[service]

    with open(path, encoding="utf-8") as recorded:
        # Several processes record the same lines.
        for line in sorted(set(recorded)):
            request = json.loads(line)
            seen[request["service"], request["operation"]] += 1
            wrong.update(judge(model, request))
    for (service, operation), shapes in sorted(seen.items()):
        print(f"{shapes:>6} shapes of {service} {operation}")
    if not seen:
        sys.exit("nothing was recorded")
    for fault in sorted(wrong):
        print(fault)
    if wrong:
        sys.exit(f"{len(wrong)} faults")


main(sys.argv[1])
