"""The rights that a request of S3 needs, and whether the role that makes it has them: see `S3Rights`.

By docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html, the Service Authorization Reference,
and docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html, for the requests made here.
"""

from __future__ import annotations

import json
import re
import threading
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs, unquote

ACCOUNT = "123456789012"  # of moto and of the template's tests
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/")
_KEY_TO_DELETE = re.compile(rb"<Key>(.*?)</Key>(?:\s*<VersionId>(.*?)</VersionId>)?", re.DOTALL)

Need = tuple[str, str]
"""An action and the ARN that it is on."""


class S3Rights:
    """The statements of each role by its access key; a key that has none may do everything, as the tests themselves.

    refused: what was refused so far, `key action arn`. Conditions are looked at as far as S3 knows them here:
    `s3:prefix` of a listing; a statement with any other is not given.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._roles: dict[str, list[dict[str, Any]]] = {}
        self.refused: list[str] = []

    def control(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Sets roles: access key -> Allow statements of a policy; what has been refused."""
        with self._lock:
            self._roles |= wanted.get("roles", {})
            return {"refused": sorted(set(self.refused))}

    def lacking(self, environ: dict[str, Any], path: str, query: dict[str, list[str]]) -> str | None:
        """What the maker of a request lacks, as S3 says it; None if nothing."""
        return self._lacking(environ, needs(environ, path, query), query.get("prefix", [""])[0])

    def _lacking(self, environ: dict[str, Any], needed: list[Need], prefix: str) -> str | None:
        found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        with self._lock:
            statements = self._roles.get(found[1]) if found else None
            if found is None or statements is None:
                return None
            for action, arn in needed:
                if not any(_gives(one, action, arn, prefix) for one in statements):
                    self.refused.append(f"{found[1]} {action} {arn}")
                    return f"User: {found[1]} is not authorized to perform: {action} on resource: {arn}"
        return None

    def lacking_on_sqs(self, environ: dict[str, Any]) -> str | None:
        """The same of a request to SQS."""
        body = json.loads(environ["wsgi.input"].getvalue() or b"{}")
        action = environ.get("HTTP_X_AMZ_TARGET", "").replace("AmazonSQS.", "sqs:").removesuffix("Batch")
        name = body.get("QueueName") or str(body.get("QueueUrl", "")).rpartition("/")[2]
        return self._lacking(environ, [(action, f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}")], "")

    def may_list(self, environ: dict[str, Any], bucket: str) -> bool:
        """Whether S3 may say of a missing object that it is missing."""
        found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        with self._lock:
            statements = self._roles.get(found[1]) if found else None
            arn = f"arn:aws:s3:::{bucket}"
            return statements is None or any(_gives(one, "s3:ListBucket", arn, "") for one in statements)


def needs(environ: dict[str, Any], path: str, query: dict[str, list[str]]) -> list[Need]:
    """All that a request needs."""
    method = environ["REQUEST_METHOD"]
    _, bucket, key, *_ = [*path.split("/", 2), "", ""]
    of_bucket, thing = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{key}"
    if not bucket:
        return [("s3:ListAllMyBuckets", "*")]
    if not key:
        return _of_bucket(method, query, of_bucket, environ)
    version = "Version" if query.get("versionId") else ""
    if method in {"GET", "HEAD"}:
        return [(f"s3:GetObject{version}{'Tagging' if 'tagging' in query else ''}", thing)]
    if method == "DELETE":
        return [("s3:AbortMultipartUpload" if "uploadId" in query else f"s3:DeleteObject{version}", thing)]
    return [("s3:PutObject", thing), *_of_source(environ), *_of_condition(environ, thing)]


def _of_bucket(method: str, query: dict[str, list[str]], arn: str, environ: dict[str, Any]) -> list[Need]:
    if method == "POST" and "delete" in query:
        body = environ["wsgi.input"].getvalue()
        entries = [(key.decode(), version) for key, version in _KEY_TO_DELETE.findall(body)]
        return [(f"s3:DeleteObject{'Version' if version else ''}", f"{arn}/{key}") for key, version in entries]
    if method not in {"GET", "HEAD"}:
        return [("s3:CreateBucket" if method == "PUT" else "s3:DeleteBucket", arn)]
    known = {"versions": "ListBucketVersions", "location": "GetBucketLocation", "uploads": "ListBucketMultipartUploads"}
    return [(f"s3:{next((of for name, of in known.items() if name in query), 'ListBucket')}", arn)]


def _of_source(environ: dict[str, Any]) -> list[Need]:
    source = environ.get("HTTP_X_AMZ_COPY_SOURCE")
    if source is None:
        return []
    place, _, asked = source.partition("?")
    version = "Version" if parse_qs(asked).get("versionId") else ""
    return [(f"s3:GetObject{version}", f"arn:aws:s3:::{unquote(place).lstrip('/')}")]


def _of_condition(environ: dict[str, Any], thing: str) -> list[Need]:
    return [("s3:GetObject", thing)] if environ.get("HTTP_IF_MATCH") else []


def _gives(statement: dict[str, Any], action: str, arn: str, prefix: str) -> bool:
    def fits(of: str, value: str) -> bool:
        patterns = statement[of] if isinstance(statement[of], list) else [statement[of]]
        return any(fnmatchcase(value, pattern) for pattern in patterns)

    if not fits("Action", action) or not fits("Resource", arn):
        return False
    conditions = statement.get("Condition", {})
    if not conditions:
        return True
    asked = conditions.get("StringLike", {}).get("s3:prefix")
    return set(conditions) == {"StringLike"} and asked is not None and any(fnmatchcase(prefix, one) for one in asked)
