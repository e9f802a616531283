"""The bucket of the built versions, which is made before the stack, and what is uploaded to it."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from rich.progress import Progress
from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_fixed

from deploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mypy_boto3_s3.client import S3Client
    from rich.console import Console

PREFIX = "stocketl"
LAMBDA = "lambda.zip"
NEEDED = (
    "main.py",
    "stocketl.zip",
    "requirements.txt",
    "bootstrap.sh",
    "rds-ca.pem",
    LAMBDA,
    "cluster.json",
    "step.json",
)
"""What a version must hold beside its wheels and the template."""

# How long a bucket may take until it is versioned, and answer now and then that an object is not there:
# docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html
_VERSIONED_MINUTES = 15
_LONGEST_BUCKET_NAME = 63
_PAUSE_SECONDS = 10


def bucket_name(stack: str, account: str, region: str) -> str:
    """The bucket of a stack's versions; all accounts share one space of names. Raises DeployError if it is too long."""
    name = f"{stack.lower()}-artifacts-{account}-{region}"
    if (excess := len(name) - _LONGEST_BUCKET_NAME) > 0:
        msg = (
            f"the stack name {stack!r} is too long for the name of its bucket; at most {len(stack) - excess} characters"
        )
        raise DeployError(msg)
    return name


def tls_only(bucket: str, partition: str) -> dict[str, Any]:
    """A bucket policy that refuses requests without TLS."""
    arn = f"arn:{partition}:s3:::{bucket}"
    statement = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def make_bucket(s3: S3Client, name: str, region: str, account: str) -> None:
    """Makes it private, versioned, encrypted and TLS only. If it is there already, it is brought into that state too.

    Raises DeployError for a bucket of somebody else.
    """
    where: Any = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        s3.create_bucket(Bucket=name, **where)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
            raise
    ours: Any = {"Bucket": name, "ExpectedBucketOwner": account}
    try:
        s3.head_bucket(**ours)
    except ClientError as error:
        msg = f"the bucket {name} belongs to somebody else, or you may not use it ({error}); give another --stack name"
        raise DeployError(msg) from error
    rules: Any = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_ownership_controls(**ours, OwnershipControls=rules)
    names = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    blocks: Any = dict.fromkeys(names, True)
    s3.put_public_access_block(**ours, PublicAccessBlockConfiguration=blocks)
    encryption: Any = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    s3.put_bucket_encryption(**ours, ServerSideEncryptionConfiguration=encryption)
    s3.put_bucket_versioning(**ours, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_policy(**ours, Policy=json.dumps(tls_only(name, s3.meta.partition)))


def check(folder: Path) -> None:
    """Raises DeployError for a folder that `make build` has not made."""
    missing = [name for name in (*NEEDED, "template.yaml") if not (folder / name).is_file()]
    if not list((folder / "wheels").glob("*.whl")):
        missing.append("wheels/*.whl")
    if missing:
        msg = f"{folder} lacks {', '.join(missing)}: expected a folder that `make build` has made"
        raise DeployError(msg)


def upload(
    s3: S3Client, bucket: str, folder: Path, console: Console, sleep: Callable[[float], None] = time.sleep
) -> dict[str, str]:
    """Puts a built version to `stocketl/<name of the folder>/`. Files that are there already stay.

    sleep: waits for seconds. Returns the S3 version id of each file, by its path in the folder; raises DeployError
    where the bucket gives none.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    versions: dict[str, str] = {}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("uploading", total=sum(path.stat().st_size for path in files))

        def pause(seconds: float) -> None:
            waiting = f"waiting until the bucket is versioned, up to {_VERSIONED_MINUTES} minutes"
            progress.update(task, description=waiting)
            sleep(seconds)
            progress.update(task, description="uploading")

        for path in files:
            name = path.relative_to(folder).as_posix()
            versions[name] = _put(s3, bucket, f"{PREFIX}/{folder.name}/{name}", path, pause)
            progress.advance(task, path.stat().st_size)
    return versions


def url(s3: S3Client, bucket: str, version: str, name: str) -> str:
    """A file of an uploaded version as CloudFormation takes it."""
    domain = "amazonaws.com.cn" if s3.meta.partition == "aws-cn" else "amazonaws.com"
    return f"https://{bucket}.s3.{s3.meta.region_name}.{domain}/{PREFIX}/{version}/{name}"


def text(s3: S3Client, bucket: str, version: str, name: str) -> str | None:
    """A small file of an uploaded version; None if it is not there."""
    try:
        return s3.get_object(Bucket=bucket, Key=f"{PREFIX}/{version}/{name}")["Body"].read().decode()
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise


def _put(s3: S3Client, bucket: str, key: str, path: Path, sleep: Callable[[float], None]) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    def put() -> str | None:
        if (found := _version(s3, bucket, key, digest)) is None:
            s3.upload_file(str(path), bucket, key, ExtraArgs={"Metadata": {"sha256": digest}})
            found = _version(s3, bucket, key, digest)
        return found

    until_versioned = Retrying(
        retry=retry_if_result(lambda found: found is None),
        wait=wait_fixed(_PAUSE_SECONDS),
        stop=stop_after_attempt(1 + _VERSIONED_MINUTES * 60 // _PAUSE_SECONDS),
        sleep=sleep,
        retry_error_callback=lambda _state: None,
    )
    version: str | None = until_versioned(put)
    if version is None:
        msg = (
            f"s3://{bucket}/{key}: expected a version id within {_VERSIONED_MINUTES} minutes, got none; "
            f"`aws s3api get-bucket-versioning --bucket {bucket}` should say Enabled. Then try again"
        )
        raise DeployError(msg)
    return version


def _version(s3: S3Client, bucket: str, key: str, digest: str) -> str | None:
    """The version id of the object with this content. None: it is not there, or the bucket gives no such id."""
    there = _head(s3, bucket, key)
    if there is None or there["Metadata"].get("sha256") != digest or there.get("VersionId", "null") == "null":
        return None
    return str(there["VersionId"])


def _head(s3: S3Client, bucket: str, key: str) -> Any:
    try:
        return s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] == "404":
            return None
        raise
