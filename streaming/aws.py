"""The process's clients of AWS, and their errors in plain words."""

from __future__ import annotations

import functools
import os
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from s3transfer.exceptions import S3CopyFailedError

from streaming.errors import ChangedError, SettingsError, StockETLError, StorageError, VanishedError
from streaming.s3_codes import DENIED, EXPIRED, MISSING, NOT_THIS_STORAGE, REFUSED_ALL, UNMET, code_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3.client import S3Client

_UNSET = (NoCredentialsError, PartialCredentialsError, ProfileNotFound)
_ENTRY = re.compile(rb"<(Version|DeleteMarker)>")
_making = dict[int, threading.Lock]()
"""By process: a lock that another thread held at a fork would never be let go in the child."""


def client() -> S3Client:
    """The process's client of S3: made when first used, never carried over a fork."""
    return client_of("s3")  # type: ignore[no-any-return]


def client_of(service: str) -> Any:
    """The process's client of another service, by boto3's name for it; as above."""
    process = os.getpid()
    with _making.setdefault(process, threading.Lock()):  # threads that begin at once would each make one
        return _client_of(service, process)


def client_of_a_thread(service: str, *, endpoint: str | None, region: str | None, seconds: float) -> Any:
    """A client of a session of its own, since boto3's sessions are not for several threads at once.

    endpoint, region: None = as boto3 finds them; seconds: that a request may take to be answered. It is tried twice.
    """
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=10, read_timeout=seconds + 10
    )
    session = boto3.session.Session(region_name=region or os.environ.get("AWS_REGION") or None)
    return session.client(service, endpoint_url=endpoint, config=config)  # type: ignore[call-overload]


def forget_clients() -> None:
    """The next ones are made anew: by the variables and credentials of then."""
    _client_of.cache_clear()
    _session_of.cache_clear()


def for_object_store() -> dict[str, str]:
    """What boto3 would use for S3, as options of the Rust crate `object_store`: others once the keys were renewed."""
    about = client().meta
    options = {"aws_region": about.region_name, "aws_conditional_put": "etag"}
    if not is_of_aws(about.endpoint_url):
        options["aws_endpoint"] = about.endpoint_url
        options["aws_virtual_hosted_style_request"] = "false"
        options["aws_allow_http"] = "true"
    with plain_errors("find credentials for S3"):
        held = _session_of(os.getpid()).get_credentials()
        if held is None:
            raise NoCredentialsError
        keys = held.get_frozen_credentials()
    options |= {"aws_access_key_id": keys.access_key or "", "aws_secret_access_key": keys.secret_key or ""}
    return options | ({"aws_session_token": keys.token} if keys.token else {})


def is_of_aws(endpoint: str) -> bool:
    """Whether an endpoint is one of AWS itself, which needs no mention."""
    return endpoint.endswith((".amazonaws.com", ".amazonaws.com.cn"))


@functools.lru_cache(maxsize=3)
def _client_of(service: str, _process: int) -> Any:
    # Everything else comes as boto3 users expect: AWS_... variables, profiles, roles, AWS_ENDPOINT_URL (for which boto3
    # puts the bucket into the path).
    retries: Any = {"mode": os.environ.get("AWS_RETRY_MODE", "standard")}  # botocore says what is wrong with it
    config = Config(retries=retries, connect_timeout=10, read_timeout=60)
    made: Any = _session_of(_process).client(service, config=config)  # type: ignore[call-overload]
    made.meta.events.register("before-parse.s3.ListObjectVersions", _keep_order)
    made.meta.events.register("before-parameter-build.s3.CompleteMultipartUpload", _only_where_nothing_is)
    return made


@functools.lru_cache(maxsize=1)
def _session_of(_process: int) -> boto3.session.Session:
    # boto3 itself knows AWS_DEFAULT_REGION only; every other client of AWS knows AWS_REGION too
    return boto3.session.Session(region_name=os.environ.get("AWS_REGION") or None)


def _keep_order(response_dict: dict[str, bytes], customized_response_dict: dict[str, object], **_: object) -> None:
    # boto3 gives versions and delete markers as two lists and so loses which of them is newer: LastModified has
    # seconds, and for a multipart upload it is the time of its start.
    customized_response_dict["Order"] = _ENTRY.findall(response_dict["body"])


def _only_where_nothing_is(params: dict[str, object], **_: object) -> None:
    # boto3's transfers know no such condition, and what is uploaded in parts here never replaces an object
    params["IfNoneMatch"] = "*"


@contextmanager
def plain_errors(what: str) -> Iterator[None]:
    """Turns what boto3 raises, after its own attempts, into this project's errors."""
    try:
        yield
    except _UNSET as error:
        msg = f"cannot {what}: {error}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        raise SettingsError(msg) from error
    except ClientError as error:
        raise _plain(what, error) from error
    except (BotoCoreError, S3CopyFailedError, OSError) as error:
        msg = f"cannot {what}: {error}"
        raise StorageError(msg) from error


def _plain(what: str, error: ClientError) -> StockETLError:
    code, action = code_of(error), error.operation_name
    msg = f"cannot {what}: {action} was answered with {code}: {error}"
    if action.startswith("List") and code in NOT_THIS_STORAGE:
        return SettingsError(f"{msg}; this storage does not know {action}, which the job needs: give another one")
    if code in UNMET:
        return ChangedError(msg)
    if code in MISSING:
        return VanishedError(msg)
    if code in REFUSED_ALL | DENIED:
        return SettingsError(f"{msg}; check the name, the region, the credentials and their right to {action}")
    if code in EXPIRED:
        forget_clients()  # the next one reads the credentials again
        return StorageError(f"{msg}; renew the credentials")
    return StorageError(msg)
