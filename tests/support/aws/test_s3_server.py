"""The local S3 server keeps S3's promises on conditional writes, serves AWS's other services, and fails on request."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixture_s3 import S3Server

THREADS = 16


@pytest.fixture
def faulty(s3: S3Server) -> Iterator[S3Server]:
    """The server; whatever faults the test switches on end with it."""
    yield s3
    s3.faults(slow_down=0.0, fail=0.0, conflict=0.0, lose_answer=0.0, paths="")


def _client(server: S3Server, *, attempts: int = 1) -> Any:
    config = Config(retries={"total_max_attempts": attempts, "mode": "standard"}, max_pool_connections=THREADS)
    return boto3.session.Session().client("s3", endpoint_url=server.endpoint, config=config)


def _refused(call: Any, **request: Any) -> str | None:
    """The code of the error with which the call is answered, None without one."""
    try:
        call(**request)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def _at_once(call: Any, requests: list[dict[str, Any]]) -> list[str | None]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda request: _refused(call, **request), requests))


def test_of_many_that_create_an_object_exactly_one_does(s3: S3Server) -> None:
    """`If-None-Match: *` holds for simultaneous PutObject, CopyObject and both together; the winner's bytes stay."""
    bucket, client = s3.bucket(), _client(s3)
    for number in range(8):
        client.put_object(Bucket=bucket, Key=f"source-{number}", Body=f"copied {number}")
    for round_number in range(8):
        target = {"Bucket": bucket, "Key": f"a b/ü%{round_number}", "IfNoneMatch": "*"}
        puts = [target | {"Body": f"put {number}"} for number in range(8)]
        copies = [target | {"CopySource": {"Bucket": bucket, "Key": f"source-{number}"}} for number in range(8)]
        with ThreadPoolExecutor(2) as pool:
            told = [
                code
                for codes in pool.map(_at_once, (client.put_object, client.copy_object), (puts, copies))
                for code in codes
            ]
        assert sorted(told, key=str) == [None] + ["PreconditionFailed"] * 15
        winner = told.index(None)
        body = client.get_object(Bucket=bucket, Key=target["Key"])["Body"].read().decode()
        assert body == (f"put {winner}" if winner < 8 else f"copied {winner - 8}")
        versions = client.list_object_versions(Bucket=bucket, Prefix=target["Key"])["Versions"]
        assert len(versions) == 1
    client.close()


def test_no_update_of_an_object_is_lost(s3: S3Server) -> None:
    """With `If-Match` sixteen threads count to 40 together, each taking back what it based on an older version."""
    bucket, client = s3.bucket(versioned=False), _client(s3)
    client.put_object(Bucket=bucket, Key="count", Body=b"0")

    def count_up(_: int) -> int:
        attempts = 0
        while True:
            attempts += 1
            seen = client.get_object(Bucket=bucket, Key="count")
            # long, so that the server computes its digest without holding Python's lock, between looking and writing
            body = str(int(seen["Body"].read()) + 1).encode().ljust(100_000)
            if _refused(client.put_object, Bucket=bucket, Key="count", Body=body, IfMatch=seen["ETag"]) is None:
                return attempts

    with ThreadPoolExecutor(THREADS) as pool:
        attempts = sum(pool.map(count_up, range(40)))
    assert client.get_object(Bucket=bucket, Key="count")["Body"].read().strip() == b"40"
    assert attempts > 40
    client.close()


def test_a_copy_is_refused_only_where_something_is(s3: S3Server) -> None:
    """A delete marker is nothing; without the condition a copy overwrites; a missing bucket is said to be missing."""
    bucket, client = s3.bucket(), _client(s3)
    client.put_object(Bucket=bucket, Key="source", Body=b"1")
    copy = {"Bucket": bucket, "Key": "target", "CopySource": {"Bucket": bucket, "Key": "source"}}
    assert _refused(client.copy_object, **copy, IfNoneMatch="*") is None
    assert _refused(client.copy_object, **copy, IfNoneMatch="*") == "PreconditionFailed"
    assert _refused(client.copy_object, **copy) is None
    client.delete_object(Bucket=bucket, Key="target")
    assert _refused(client.copy_object, **copy, IfNoneMatch="*") is None
    assert _refused(client.copy_object, **copy | {"Bucket": "no-such-bucket"}, IfNoneMatch="*") == "NoSuchBucket"
    upload = client.create_multipart_upload(Bucket=bucket, Key="target")["UploadId"]
    which = {"Bucket": bucket, "Key": "target", "UploadId": upload}
    part = client.upload_part(**which, PartNumber=1, Body=b"2")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    complete = client.complete_multipart_upload
    assert _refused(complete, **which, MultipartUpload=parts, IfNoneMatch="*") == "PreconditionFailed"
    client.close()


def test_a_delete_can_name_the_etag_of_what_it_means(s3: S3Server) -> None:
    """Another object stays, and that nothing is there is said too; docs.aws.amazon.com: conditional deletes."""
    bucket, client = s3.bucket(versioned=False), _client(s3)
    etag = client.put_object(Bucket=bucket, Key="a", Body=b"old")["ETag"]
    client.put_object(Bucket=bucket, Key="a", Body=b"new")
    assert _refused(client.delete_object, Bucket=bucket, Key="a", IfMatch=etag) == "PreconditionFailed"
    etag = client.head_object(Bucket=bucket, Key="a")["ETag"]
    assert _refused(client.delete_object, Bucket=bucket, Key="a", IfMatch=etag) is None
    assert _refused(client.delete_object, Bucket=bucket, Key="a", IfMatch=etag) == "NoSuchKey"
    client.close()


def test_a_bucket_without_versions_has_the_version_null(s3: S3Server) -> None:
    """HeadObject looks at it by this name, and says of what is not there that it is missing."""
    bucket, client = s3.bucket(versioned=False), _client(s3)
    client.put_object(Bucket=bucket, Key="a", Body=b"123")
    assert client.head_object(Bucket=bucket, Key="a", VersionId="null")["ContentLength"] == 3
    assert _refused(client.head_object, Bucket=bucket, Key="b", VersionId="null") == "404"
    client.close()


@pytest.mark.usefixtures("s3")
def test_the_endpoint_serves_secrets_topics_and_metrics_too() -> None:
    """Secrets Manager, SNS and CloudWatch answer under AWS_ENDPOINT_URL, as boto3 asks them."""
    secrets, topics, metrics = (
        boto3.session.Session().client(name) for name in ("secretsmanager", "sns", "cloudwatch")
    )
    secrets.create_secret(Name="database", SecretString='{"password": "p"}')
    assert secrets.get_secret_value(SecretId="database")["SecretString"] == '{"password": "p"}'
    arn = topics.create_topic(Name="alarms")["TopicArn"]
    assert topics.publish(TopicArn=arn, Message="crash loop")["MessageId"]
    metrics.put_metric_data(Namespace="Ours", MetricData=[{"MetricName": "Starts", "Value": 1.0}])
    assert [metric["MetricName"] for metric in metrics.list_metrics(Namespace="Ours")["Metrics"]] == ["Starts"]
    for client in (secrets, topics, metrics):
        client.close()


def test_throttling_fires_as_often_as_asked_for_and_by_seed(faulty: S3Server) -> None:
    """503 SlowDown on any request, counted; the same seed throttles the same ones; HEAD has no body; retries help."""
    bucket, client = faulty.bucket(), _client(faulty)

    def told() -> list[str | None]:
        faulty.faults(seed=5, slow_down=0.3, paths=f"^/{bucket}/drops/")
        puts = [_refused(client.put_object, Bucket=bucket, Key=f"drops/{n}", Body=b"x" * 100_000) for n in range(40)]
        return puts + [_refused(client.head_object, Bucket=bucket, Key="drops/0") for n in range(40)]

    before = faulty.faults()
    first, again = told(), told()
    assert first == again
    assert set(first) == {None, "SlowDown", "503"}
    counts = faulty.faults()
    fired = sum(code is not None for code in first)
    assert 10 < fired < 40
    assert counts["slow_down"] - before.get("slow_down", 0) == 2 * fired
    assert [_refused(client.put_object, Bucket=bucket, Key="other", Body=b"") for _ in range(20)] == [None] * 20
    patient = _client(faulty, attempts=10)
    assert [_refused(patient.put_object, Bucket=bucket, Key=f"drops/{n}", Body=b"") for n in range(4)] == [None] * 4
    client.close()
    patient.close()


def test_a_lost_answer_makes_a_retry_fail_on_its_own_success(faulty: S3Server) -> None:
    """The write is there and its author hears 500; boto3's retry then hears 412 about it."""
    bucket, client = faulty.bucket(), _client(faulty)
    before = faulty.faults(lose_answer=1.0).get("lose_answer PUT", 0)
    assert _refused(client.put_object, Bucket=bucket, Key="a", Body=b"mine", IfNoneMatch="*") == "InternalError"
    assert _refused(client.put_object, Bucket=bucket, Key="a", Body=b"mine", IfNoneMatch="*") == "PreconditionFailed"
    assert faulty.faults()["lose_answer PUT"] == before + 1
    assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == b"mine"
    faulty.faults(lose_answer=0.0)
    assert _refused(client.put_object, Bucket=bucket, Key="a", Body=b"mine", IfNoneMatch="*") == "PreconditionFailed"
    faulty.faults(conflict=1.0)
    etag = client.head_object(Bucket=bucket, Key="a")["ETag"]
    assert _refused(client.put_object, Bucket=bucket, Key="a", Body=b"b", IfMatch=etag) == "ConditionalRequestConflict"
    assert _refused(client.put_object, Bucket=bucket, Key="a", Body=b"c") is None
    client.close()


def test_a_fault_that_does_not_exist_is_refused(s3: S3Server) -> None:
    """A misspelt fault would never fire."""
    with pytest.raises(AssertionError, match="slowdown"):
        s3.faults(slowdown=0.5)


def test_new_objects_are_published_as_eventbridge_does(s3: S3Server) -> None:
    """One event for each object put, copied or put together, keys as they are; none for parts, tags and deletes."""
    bucket, client = s3.bucket(), _client(s3)
    _, last = s3.events()
    key = "in put/ü+%20.csv"
    put = client.put_object(Bucket=bucket, Key=key, Body=b"abc")
    client.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    copied = client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    which = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    part = client.upload_part(**which, PartNumber=1, Body=b"12")
    whole = client.complete_multipart_upload(
        **which, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    client.delete_object(Bucket=bucket, Key="copy")
    assert _refused(client.put_object, Bucket=bucket, Key=key, Body=b"", IfNoneMatch="*") == "PreconditionFailed"
    events, _ = s3.events(last)
    assert [event["detail"]["reason"] for event in events] == ["PutObject", "CopyObject", "CompleteMultipartUpload"]
    objects = [event["detail"]["object"] for event in events]
    assert [(one["key"], one["size"]) for one in objects] == [(key, 3), ("copy", 3), ("parts", 2)]
    assert [one["version-id"] for one in objects] == [put["VersionId"], copied["VersionId"], whole["VersionId"]]
    assert objects[0]["etag"] == put["ETag"].strip('"')
    assert [one["sequencer"] for one in objects] == sorted(one["sequencer"] for one in objects)
    assert {(event["source"], event["detail-type"], event["detail"]["bucket"]["name"]) for event in events} == {
        ("aws.s3", "Object Created", bucket)
    }
    client.close()
