"""Which rights calls to AWS need, and whether the statements of a role give these and no others.

The rights that a call needs are those of the Service Authorization Reference
(docs.aws.amazon.com/service-authorization/latest/reference/reference.html), for the calls that this project makes.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import boto3
from botocore import handlers
from botocore.exceptions import HTTPClientError
from cloudformation import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


@dataclass(frozen=True)
class Call:
    """One call as boto3 was told to make it."""

    service: str
    operation: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Need:
    """A right: an action on a resource; context: what conditions can look at."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


@dataclass
class Statement:
    """An Allow of a role; `used`: its actions and resources that some call needed."""

    sid: str
    actions: list[str]
    resources: list[str]
    conditions: dict[str, dict[str, Any]]
    used: set[str] = field(default_factory=set)

    def gives(self, need: Need) -> bool:
        """Whether this statement alone allows it; then it counts as used."""
        actions = [action for action in self.actions if fnmatchcase(need.action, action)]
        resources = [resource for resource in self.resources if fnmatchcase(need.resource, resource)]
        if not actions or not resources or not self._fits(need.context):
            return False
        self.used |= {*actions, *resources}
        return True

    def _fits(self, context: Mapping[str, str]) -> bool:
        for operator, keys in self.conditions.items():
            for key, wanted in keys.items():
                patterns = wanted if isinstance(wanted, list) else [wanted]
                # a condition on what the call does not have is not met
                if key not in context or not any(
                    fnmatchcase(context[key], pattern) if operator == "StringLike" else context[key] == pattern
                    for pattern in patterns
                ):
                    return False
        return True


class Recording(list[Call]):
    """The calls so far. refuse: operations whose next call fails before it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.refuse: set[str] = set()

    def note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.append(Call(model.service_model.service_name, model.name, dict(params)))
        if model.name in self.refuse:
            self.refuse.remove(model.name)
            raise HTTPClientError(error="refused by the test")


@contextlib.contextmanager
def recorded() -> Iterator[Recording]:
    """The calls of all clients that are made inside."""
    calls = Recording()
    known = ("provide-client-params", calls.note)
    before, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, None
    handlers.BUILTIN_HANDLERS.append(known)  # every session takes these over when it is made
    try:
        yield calls
    finally:
        handlers.BUILTIN_HANDLERS.remove(known)
        boto3.DEFAULT_SESSION = before


def statements(role: dict[str, Any]) -> list[Statement]:
    """The Allows of a role's own policies (resolved properties of an AWS::IAM::Role)."""
    found = [s for policy in role["Policies"] for s in policy["PolicyDocument"]["Statement"]]
    assert all(statement["Effect"] == "Allow" for statement in found)
    return [
        Statement(s.get("Sid", ""), _list(s["Action"]), _list(s["Resource"]), s.get("Condition", {})) for s in found
    ]


def missing(of: list[Statement], calls: Iterable[Call], tags: Mapping[str, str] | None = None) -> list[str]:
    """The rights that calls needed and no statement gives. tags: of the clusters that were there."""
    needed = [need for call in calls for need in needs(call, tags or {})]
    given = [(need, [statement.gives(need) for statement in of]) for need in needed]  # all are asked: each may be used
    return sorted({str(need) for need, answers in given if not any(answers)})


def unused(of: list[Statement], by_others: Iterable[str] = ()) -> list[str]:
    """Actions and resources of the statements that no call needed, but for those that others use by this role."""
    free = set(by_others)
    return [
        f"{one} of {statement.sid}"
        for statement in of
        if not free.issuperset(statement.actions)
        for one in [*statement.actions, *statement.resources]
        if one not in statement.used | free
    ]


def needs(call: Call, tags: Mapping[str, str]) -> Iterator[Need]:
    """The rights that a call needs; raises KeyError for a call that is not known here."""
    return _OF_SERVICE[call.service](call, tags)


def _s3(call: Call, _tags: Mapping[str, str]) -> Iterator[Need]:
    params = call.params
    bucket = f"arn:aws:s3:::{params['Bucket']}"
    thing = f"{bucket}/{params.get('Key')}"
    version = "Version" if params.get("VersionId") else ""
    actions = {
        "GetObject": f"s3:GetObject{version}",
        "HeadObject": f"s3:GetObject{version}",
        "PutObject": "s3:PutObject",
        "DeleteObject": f"s3:DeleteObject{version}",
        "GetObjectTagging": f"s3:GetObject{version}Tagging",
        "CopyObject": "s3:PutObject",
        "UploadPartCopy": "s3:PutObject",
        "CreateMultipartUpload": "s3:PutObject",
        "UploadPart": "s3:PutObject",
        "CompleteMultipartUpload": "s3:PutObject",
        "AbortMultipartUpload": "s3:AbortMultipartUpload",
        "ListObjectsV2": "s3:ListBucket",
        "ListObjectVersions": "s3:ListBucketVersions",
        "HeadBucket": "s3:ListBucket",
    }
    of_bucket = call.operation in {"ListObjectsV2", "ListObjectVersions", "HeadBucket"}
    yield Need(actions[call.operation], bucket if of_bucket else thing)
    if call.operation in {"GetObject", "HeadObject"}:
        yield Need("s3:ListBucket", bucket)  # else S3 says 403 instead of 404 of what is not there
    if params.get("IfMatch") and call.operation in {"PutObject", "DeleteObject"}:
        yield Need("s3:GetObject", thing)  # docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    if params.get("Tagging") or call.operation == "CopyObject":
        yield Need("s3:PutObjectTagging", thing)
    if source := params.get("CopySource"):
        of = f"arn:aws:s3:::{source['Bucket']}/{source['Key']}"
        version = "Version" if source.get("VersionId") else ""
        yield Need(f"s3:GetObject{version}", of)
        if call.operation == "CopyObject":
            yield Need(f"s3:GetObject{version}Tagging", of)


def _emr(call: Call, tags: Mapping[str, str]) -> Iterator[Need]:
    own = f"arn:aws:elasticmapreduce:{REGION}:{ACCOUNT}:cluster/"
    action = f"elasticmapreduce:{call.operation}"
    if call.operation == "ListClusters":
        yield Need(action, "*")
    elif call.operation == "RunJobFlow":
        asked = {f"elasticmapreduce:RequestTag/{tag['Key']}": tag["Value"] for tag in call.params["Tags"]}
        yield Need(action, "*", asked)
        yield Need("elasticmapreduce:AddTags", f"{own}j-NEW", asked)
        passed = {"elasticmapreduce": call.params["ServiceRole"], "ec2": _role(call.params["JobFlowRole"])}
        for service, role in passed.items():
            yield Need("iam:PassRole", role, {"iam:PassedToService": f"{service}.amazonaws.com"})
    else:
        named = call.params.get("ClusterId") or call.params.get("JobFlowId")
        (cluster,) = [named] if named else call.params["JobFlowIds"]
        yield Need(action, own + cluster, {f"elasticmapreduce:ResourceTag/{key}": value for key, value in tags.items()})


def _secrets(call: Call, _tags: Mapping[str, str]) -> Iterator[Need]:
    yield Need(f"secretsmanager:{call.operation}", call.params["SecretId"])


def _cloudwatch(call: Call, _tags: Mapping[str, str]) -> Iterator[Need]:
    yield Need(f"cloudwatch:{call.operation}", "*", {"cloudwatch:namespace": call.params["Namespace"]})


def _sqs(call: Call, _tags: Mapping[str, str]) -> Iterator[Need]:
    queue = call.params["QueueUrl"].rpartition("/")[2]
    yield Need(f"sqs:{call.operation.removesuffix('Batch')}", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}")


_OF_SERVICE: dict[str, Callable[[Call, Mapping[str, str]], Iterator[Need]]] = {
    "s3": _s3,
    "emr": _emr,
    "secretsmanager": _secrets,
    "cloudwatch": _cloudwatch,
    "sqs": _sqs,
}


def _role(instance_profile: str) -> str:
    """EMR wants both under one name; in the tests the profile has its logical id."""
    return f"arn:aws:iam::{ACCOUNT}:role/{instance_profile}".replace("ClusterProfile", "ClusterRole")


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
