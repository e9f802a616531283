"""Whether a JSON document fits botocore's model of EMR: what `boto3` would not notice is an error here too."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from botocore.loaders import Loader
from botocore.model import NoShapeFoundError, ServiceModel

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

_JAVA_ASTRAL, _ASTRAL = r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF"
_TYPES: dict[str, type | tuple[type, ...]] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),  # of JSON 1.1: seconds since 1970
}


@functools.cache
def service() -> ServiceModel:
    """botocore's model of EMR."""
    return ServiceModel(Loader().load_service_model("emr", "service-2"), "emr")


@functools.cache
def operation(name: str) -> OperationModel:
    """An operation of the model; raises botocore's OperationNotFoundError."""
    return service().operation_model(name)


def input_problems(name: str, request: Any) -> list[str]:
    """What is wrong with the body of a request, as `path: problem`."""
    return problems(operation(name).input_shape, request)


def output_problems(name: str, answer: Any) -> list[str]:
    """What is wrong with the body of an answer; an operation without output answers with nothing."""
    shape = operation(name).output_shape
    if shape is None:
        return [] if answer is None else [f"{name} answers with nothing, got {answer!r}"]
    return problems(shape, answer)


def error_problems(code: str, members: dict[str, Any]) -> list[str]:
    """What is wrong with the body of an error, `__type` left out; codes common to all of AWS are not in the model."""
    try:
        shape = service().shape_for(code)
    except NoShapeFoundError:
        return [] if set(members) == {"message"} else [f"{code}: expected only a message, got {members!r}"]
    return problems(shape, members) if shape.members else []


def problems(shape: Shape, value: Any, at: str = "") -> list[str]:
    """Wrong types, missing and unknown members, values outside an enumeration, a pattern or a length."""
    expected = _TYPES[shape.type_name]
    if not isinstance(value, expected) or (isinstance(value, bool) and shape.type_name != "boolean"):
        return [f"{at or '.'}: expected {shape.type_name}, got {value!r}"]
    if shape.type_name == "structure":
        return _of_structure(shape, value, at)
    if shape.type_name == "map":
        return [p for key, item in value.items() for p in problems(shape.value, item, f"{at}[{key!r}]")]
    if shape.type_name == "list":
        found = [problem for i, item in enumerate(value) for problem in problems(shape.member, item, f"{at}[{i}]")]
        return _outside(shape, len(value), at, "length") + found
    return _of_string(shape, value, at) if shape.type_name == "string" else _outside(shape, value, at, "value")


def _of_structure(shape: Shape, value: dict[str, Any], at: str) -> list[str]:
    found = [f"{at}.{name}: missing" for name in shape.required_members if name not in value]
    for name, item in value.items():
        if name in shape.members:
            found += problems(shape.members[name], item, f"{at}.{name}")
        else:
            found.append(f"{at}.{name}: unknown member of {shape.name}")
    return found


def _of_string(shape: Shape, value: str, at: str) -> list[str]:
    found = _outside(shape, len(value), at, "length")
    if shape.enum and value not in shape.enum:
        found.append(f"{at}: {value!r} is none of {shape.enum}")
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        found.append(f"{at}: {value!r} does not match {pattern}")
    return found


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # the model's patterns are Java's, which writes characters above U+FFFF as two surrogates
    return re.compile(pattern.replace(_JAVA_ASTRAL, _ASTRAL))


def _outside(shape: Shape, size: Any, at: str, what: str) -> list[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if (least is not None and size < least) or (most is not None and size > most):
        return [f"{at}: {what} {size} is not in {least}..{most}"]
    return []
