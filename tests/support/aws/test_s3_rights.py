"""The rights of the local S3: each request needs what AWS's documents say, and a role gives what its statements say."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import boto3
import pytest
from botocore.exceptions import ClientError
from s3_rights import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_s3 import S3Server

A, K = "arn:aws:s3:::b", "arn:aws:s3:::b/k"
DELETE = b"<Delete><Object><Key>k</Key></Object><Object><Key>l</Key><VersionId>1</VersionId></Object></Delete>"


@pytest.mark.parametrize(
    ("request_", "headers", "expected"),
    [
        ("GET /", {}, [("s3:ListAllMyBuckets", "*")]),
        ("GET /b?list-type=2&prefix=x", {}, [("s3:ListBucket", A)]),
        ("HEAD /b", {}, [("s3:ListBucket", A)]),
        ("GET /b?versions", {}, [("s3:ListBucketVersions", A)]),
        ("GET /b/k", {}, [("s3:GetObject", K)]),
        ("HEAD /b/k?versionId=1", {}, [("s3:GetObjectVersion", K)]),
        ("GET /b/k?tagging&versionId=1", {}, [("s3:GetObjectVersionTagging", K)]),
        ("PUT /b/k", {"HTTP_IF_MATCH": "e"}, [("s3:PutObject", K), ("s3:GetObject", K)]),
        ("POST /b/k?uploads", {}, [("s3:PutObject", K)]),
        (
            "PUT /b/k?partNumber=1&uploadId=2",
            {"HTTP_X_AMZ_COPY_SOURCE": "/c/a%20b?versionId=3"},
            [("s3:PutObject", K), ("s3:GetObjectVersion", "arn:aws:s3:::c/a b")],
        ),
        ("DELETE /b/k?uploadId=2", {}, [("s3:AbortMultipartUpload", K)]),
        ("DELETE /b/k?versionId=1", {}, [("s3:DeleteObjectVersion", K)]),
        ("POST /b?delete", {}, [("s3:DeleteObject", K), ("s3:DeleteObjectVersion", f"{A}/l")]),
    ],
)
def test_each_request_needs_its_rights(request_: str, headers: dict[str, str], expected: list[tuple[str, str]]) -> None:
    """As the Service Authorization Reference has them."""
    method, _, url = request_.partition(" ")
    path, _, query = url.partition("?")
    environ = {"REQUEST_METHOD": method, "wsgi.input": io.BytesIO(DELETE)} | headers
    assert needs(environ, path, parse_qs(query, keep_blank_values=True)) == expected


def test_a_role_may_what_its_statements_say_and_nothing_else(s3: S3Server) -> None:
    """Refusals are told; of a missing object only who may list hears that it is missing."""
    bucket = s3.bucket(versioned=False)
    arn = f"arn:aws:s3:::{bucket}"
    listing = {"Action": "s3:ListBucket", "Resource": arn, "Condition": {"StringLike": {"s3:prefix": ["a/*"]}}}
    reading = {"Action": ["s3:GetObject"], "Resource": [f"{arn}/a/*"]}
    s3.rights(reader=[reading, listing], lister=[reading, {"Action": "s3:ListBucket", "Resource": arn}])
    s3.client.put_object(Bucket=bucket, Key="a/1", Body=b"1")

    def client(key: str) -> Any:
        keys = {"aws_access_key_id": key, "aws_secret_access_key": "testing"}
        return boto3.session.Session().client("s3", endpoint_url=s3.endpoint, region_name="us-east-1", **keys)

    def code(call: Callable[[], Any]) -> str:
        try:
            call()
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "done"

    reader, lister = client("reader"), client("lister")
    assert reader.get_object(Bucket=bucket, Key="a/1")["Body"].read() == b"1"
    assert code(lambda: reader.list_objects_v2(Bucket=bucket, Prefix="a/")) == "done"
    assert code(lambda: reader.list_objects_v2(Bucket=bucket, Prefix="b/")) == "AccessDenied"
    assert code(lambda: reader.put_object(Bucket=bucket, Key="a/1", Body=b"2")) == "AccessDenied"
    missing = [code(lambda who=who: who.get_object(Bucket=bucket, Key="a/2")) for who in (reader, lister)]
    assert missing == ["AccessDenied", "NoSuchKey"]
    refused = [line for line in s3.rights() if arn in line]
    assert refused == [f"reader s3:ListBucket {arn}", f"reader s3:PutObject {arn}/a/1"]
    reader.close()
    lister.close()


def test_a_role_gets_from_sqs_what_its_statements_give(s3: S3Server) -> None:
    """Of a batch of messages each needs the right to one."""
    with contextlib.closing(s3.client_of("sqs")) as own:
        url = own.create_queue(QueueName="rights")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:123456789012:rights"
    s3.rights(receiver=[{"Action": ["sqs:ReceiveMessage"], "Resource": arn}])
    keys = {"aws_access_key_id": "receiver", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    with contextlib.closing(boto3.session.Session().client("sqs", endpoint_url=s3.endpoint, **keys)) as sqs:
        assert "Messages" not in sqs.receive_message(QueueUrl=url)
        with pytest.raises(
            ClientError, match=rf"AccessDenied.* not authorized to perform: sqs:DeleteMessage on .*{arn}"
        ):
            sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": "1", "ReceiptHandle": "x"}])
    assert [line for line in s3.rights() if arn in line] == [f"receiver sqs:DeleteMessage {arn}"]
