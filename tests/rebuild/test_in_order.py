"""Objects of S3 copied many at a time, whose times and keys still have their order."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from streaming.errors import StorageError
from streaming.rebuild.in_order import Source, fill, set_aside

if TYPE_CHECKING:
    from fixture_s3 import S3Server


def sources(s3: S3Server, count: int) -> list[Source]:
    """Files that lie in a bucket in another order than they are to be loaded in."""
    bucket = s3.bucket()
    names = [f"{n * 7919 % count:05d}.csv" for n in range(count)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: s3.client.put_object(Bucket=bucket, Key=name, Body=name.encode()), names))
    return [Source(bucket, name, None, len(name), f"a/{name}") for name in names]


def loaded(s3: S3Server, bucket: str) -> list[str]:
    """The bodies of all versions, as a job would load them: by (last modified, key)."""
    pages = s3.client.get_paginator("list_object_versions").paginate(Bucket=bucket)
    found = [one for page in pages for one in page.get("Versions", ())]
    found.sort(key=lambda one: (one["LastModified"], one["Key"]))
    bodies = (s3.client.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])["Body"] for one in found)
    return [body.read().decode() for body in bodies]


def untold(_count: int) -> None:
    """Nobody wants to know."""


def test_copies_are_loaded_in_the_order_of_their_sources(s3: S3Server) -> None:
    """Blocks of eight, of which some meet the end of a second."""
    wanted, bucket = sources(s3, 100), s3.bucket()
    counts: list[int] = []
    fill(s3.client, wanted, bucket, "drops/again", told=counts.append, at_once=8)
    assert loaded(s3, bucket) == [source.key for source in wanted]
    assert (counts[0], counts[-1], counts == sorted(counts)) == (0, 100, True)
    first = s3.client.list_objects_v2(Bucket=bucket, MaxKeys=1)["Contents"][0]["Key"]
    assert first == f"drops/again/000000001/{wanted[0].name}"


class Interrupted(Exception):  # noqa: N818 - it is no error
    """Somebody pressed Ctrl-C."""


def test_a_cut_costs_no_order_and_makes_nothing_twice(s3: S3Server) -> None:
    """Cut off in the middle of a block, with copies behind a gap and strangers below the prefix; then run again."""
    wanted, bucket = sources(s3, 60), s3.bucket()

    def cut(count: int) -> None:
        if count >= 24:
            raise Interrupted

    with pytest.raises(Interrupted):
        fill(s3.client, wanted, bucket, "again", told=cut, at_once=8)
    s3.client.put_object(Bucket=bucket, Key=f"again/000000030/{wanted[29].name}", Body=b"behind a gap")
    s3.client.put_object(Bucket=bucket, Key=f"again/000000010/{wanted[9].name}", Body=b"a second version")
    counts: list[int] = []
    time.sleep(1.1)  # times have whole seconds
    fill(s3.client, wanted, bucket, "again", told=counts.append, at_once=8)
    assert loaded(s3, bucket) == [source.key for source in wanted]
    assert counts[0] == 9
    fill(s3.client, wanted, bucket, "again", told=counts.append, at_once=8)
    assert counts[-1] == 60


def test_slow_copies_are_made_in_smaller_blocks(s3: S3Server) -> None:
    """A store that makes two copies a second, the last of a block first: in blocks of 8, 80 copies would be made."""
    wanted, bucket = sources(s3, 32), s3.bucket()
    clock = itertools.count()

    def reversed_in_its_block(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        number = int(params["url_path"].split("/")[2])
        time.sleep(0.04 * (8 - number % 8))
        context["made"] = next(clock)

    def two_a_second(parsed: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        parsed["CopyObjectResult"]["LastModified"] = datetime(2024, 1, 2, tzinfo=UTC) + timedelta(
            seconds=context["made"] // 2
        )

    client = s3.client_of("s3")
    client.meta.events.register("before-call.s3.CopyObject", reversed_in_its_block)
    client.meta.events.register("after-call.s3.CopyObject", two_a_second)
    fill(client, wanted, bucket, "again", told=untold, at_once=8)
    client.close()
    assert next(clock) <= 60
    assert len(loaded(s3, bucket)) == 32


def test_a_source_that_is_gone_is_named(s3: S3Server) -> None:
    """Nothing is left out silently."""
    wanted, bucket = sources(s3, 3), s3.bucket()
    s3.client.delete_object(Bucket=wanted[1].bucket, Key=wanted[1].key)
    with pytest.raises(StorageError, match=rf"s3://.*/{wanted[1].key} .* is gone: put it back"):
        fill(s3.client, wanted, bucket, "again", told=untold)


def test_a_prefix_is_set_aside_as_it_is(s3: S3Server) -> None:
    """Also when what is moved comes in several pages, and when nothing is left to be moved."""
    bucket = s3.bucket(versioned=False)
    bodies: dict[str, Any] = {f"receipts/{n}.json": str(n).encode() for n in range(30)}
    for key, body in bodies.items():
        s3.client.put_object(Bucket=bucket, Key=key, Body=body)
    s3.client.put_object(Bucket=bucket, Key="receipts.txt", Body=b"stays")
    assert set_aside(s3.client, bucket, "receipts/", "aside/") == 30
    assert set_aside(s3.client, bucket, "receipts/", "aside/") == 0
    listed = s3.client.list_objects_v2(Bucket=bucket)["Contents"]
    found = {one["Key"]: s3.client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed}
    assert found == {f"aside/{key}": body for key, body in bodies.items()} | {"receipts.txt": b"stays"}
