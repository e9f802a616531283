"""`make restore` on a stack of moto's CloudFormation: stop, set aside, give back in order, go on after a cut."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from account import an_account

from deploy import restore as of
from deploy.errors import DeployError
from deploy.restore import restore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.place import Place

OUTPUTS = {
    "InputBucket": "the-input",
    "SuccessBucket": "the-success",
    "StateBucket": "the-state",
    "ReceiptsBucket": "the-receipts",
    "DropHere": "s3://the-input/drops/",
}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A stack in which three files were loaded, one failed, and one waits."""
    monkeypatch.setattr(of, "AT_ONCE", 4)
    with an_account() as made:
        monkeypatch.setenv("AWS_REGION", made.region)
        outputs = {name: {"Value": value} for name, value in OUTPUTS.items()}
        template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}, "Outputs": outputs}
        made.client("cloudformation").create_stack(StackName="stocketl", TemplateBody=json.dumps(template))
        where = {"LocationConstraint": made.region}
        for name in ("Input", "Success", "State", "Receipts"):
            made.s3.create_bucket(Bucket=f"the-{name.lower()}", CreateBucketConfiguration=where)  # type: ignore[arg-type]
        for name in ("input", "success", "receipts"):
            made.s3.put_bucket_versioning(Bucket=f"the-{name}", VersioningConfiguration={"Status": "Enabled"})
        fill_in(made)
        yield made


def fill_in(place: Place) -> None:
    put = place.s3.put_object
    for seq, (key, target) in enumerate([("b.csv", "b.csv"), ("a.csv", "a.csv"), ("x/b.csv", "x/b.csv")], 1):
        put(Bucket="the-success", Key=target, Body=f"{seq} {key}".encode())
        receipt(place, seq, key, "success", f"s3://the-success/{target}")
    receipt(place, 4, "bad.csv", "failed", "s3://the-failed/bad.csv")
    put(Bucket="the-input", Key="drops/later.csv", Body=b"waits")
    put(Bucket="the-state", Key="checkpoint/offsets/7", Body=b"offset")
    put(Bucket="the-state", Key="lake/ticks/part-0", Body=b"rows")
    put(Bucket="the-receipts", Key="moves/0a.json", Body=b"{}")
    old = datetime.now(UTC) - timedelta(hours=1)
    beat = {"time": old.isoformat(timespec="seconds"), "step": "s-1", "epoch": 3}
    put(Bucket="the-state", Key="control/heartbeat.json", Body=json.dumps(beat).encode())


def receipt(place: Place, seq: int, key: str, fate: str, moved_to: str) -> None:
    body = {"seq": seq, "checkpoint_id": "c", "key": key, "fate": fate, "moved_to": moved_to}
    place.s3.put_object(Bucket="the-receipts", Key=f"receipts/done/{seq:09d}.json", Body=json.dumps(body).encode())


def keys(place: Place, bucket: str) -> list[str]:
    return [one["Key"] for one in place.s3.list_objects_v2(Bucket=f"the-{bucket}").get("Contents", [])]


def waiting(place: Place) -> list[str]:
    """The bodies of what the job would load, in its order."""
    found = place.s3.list_objects_v2(Bucket="the-input")["Contents"]
    found.sort(key=lambda one: (one["LastModified"], one["Key"]))
    return [place.s3.get_object(Bucket="the-input", Key=one["Key"])["Body"].read().decode() for one in found]


def agree(_question: str) -> bool:
    return True


def test_all_files_go_back_in_their_order_and_what_waits_comes_behind(place: Place) -> None:
    """What there was of the job is set aside, the originals are gone, and the job may start."""
    asked: list[str] = []
    restore(place, "stocketl", lambda text: not asked.append(text), without_missing=False)
    assert asked[0].startswith("3 loaded files go back into s3://the-input/drops/, behind them 1 that wait there")
    assert waiting(place) == ["1 b.csv", "2 a.csv", "3 x/b.csv", "waits"]
    assert [key.partition("/")[0] for key in keys(place, "input")] == ["drops"] * 4
    assert keys(place, "success") == []
    assert {key.split("/")[0] for key in keys(place, "state")} == {"before-restore", "control"}
    assert "control/stop" not in keys(place, "state")
    assert {key.split("/")[0] for key in keys(place, "receipts")} == {"before-restore"}


def test_what_is_dropped_meanwhile_comes_last(place: Place) -> None:
    """It is newer than all others, though older than their copies."""

    def drop_then_agree(question: str) -> bool:
        if question.startswith("The database"):
            place.s3.put_object(Bucket="the-input", Key="drops/aaa.csv", Body=b"meanwhile")
        return True

    restore(place, "stocketl", drop_then_agree, without_missing=False)
    assert waiting(place) == ["1 b.csv", "2 a.csv", "3 x/b.csv", "waits", "meanwhile"]


@pytest.mark.parametrize("cut", ["CopyObject", "DeleteObjects", "DeleteObject", "ListObjectVersions"])
@pytest.mark.parametrize("nth", [1, 3, 6])
def test_a_restore_that_is_cut_off_goes_on(place: Place, cut: str, nth: int) -> None:
    """At any request: run again, it ends as if nothing had been."""
    left = [None] * nth

    def cut_off(**_: object) -> None:
        left.pop()
        if not left:
            raise KeyboardInterrupt

    place.session.events.register(f"before-call.s3.{cut}", cut_off)
    with contextlib.suppress(KeyboardInterrupt, IndexError):
        restore(place, "stocketl", agree, without_missing=False)
    place.session.events.unregister(f"before-call.s3.{cut}", cut_off)
    if "control/stop" in keys(place, "state") or "restore/journal.json" in keys(place, "receipts"):
        restore(place, "stocketl", agree, without_missing=False)
    assert waiting(place) == ["1 b.csv", "2 a.csv", "3 x/b.csv", "waits"]
    assert (keys(place, "success"), "control/stop" in keys(place, "state")) == ([], False)


def test_a_loaded_file_that_is_gone_is_named_before_anything_is_set_aside(place: Place) -> None:
    """It may be put back; left out only when told so."""
    place.s3.delete_object(Bucket="the-success", Key="a.csv")
    with pytest.raises(DeployError, match=r"files of loaded drops are gone: 2 a\.csv\. Put them back"):
        restore(place, "stocketl", agree, without_missing=False)
    assert "checkpoint/offsets/7" in keys(place, "state")
    restore(place, "stocketl", agree, without_missing=True)
    assert waiting(place) == ["1 b.csv", "3 x/b.csv", "waits"]


def test_nothing_is_done_without_consent_or_while_the_job_beats(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The marker stays, since the job may have ended by it; the way back is told."""
    with pytest.raises(DeployError, match=r"nothing was changed, but the job is stopped: aws s3 rm"):
        restore(place, "stocketl", lambda _: False, without_missing=False)
    assert len(keys(place, "success")) == 3
    monkeypatch.setattr(of, "_MOST_LOOKS", 6)
    soon = datetime.now(UTC) + timedelta(hours=1)  # fresh for as long as the test takes
    beat = {"time": soon.isoformat(timespec="seconds"), "step": "s-1", "epoch": 3}
    place.s3.put_object(Bucket="the-state", Key="control/heartbeat.json", Body=json.dumps(beat).encode())
    with pytest.raises(DeployError, match="the job still beats after 1 minutes"):
        restore(place, "stocketl", agree, without_missing=False)
    with pytest.raises(DeployError, match="there is no stack other"):
        restore(place, "other", agree, without_missing=False)
