"""A damaged file of a checkpoint is named before Spark starts; what nobody needs may be damaged; all of it may move."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from damages import DAMAGES, a_folder, emptied, flipped, halved
from spark_checkpoint import CHANGES, DESCRIPTION, OPEN_CHANGES, SCHEMA, SHARED, SNAPSHOT, lines, make, put

from streaming.checkpoint.checkpoint import open_checkpoint
from streaming.checkpoint.inspection import inspect, relocate
from streaming.errors import CheckpointError
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from collections.abc import Callable


NEEDED = ["offsets/2", "offsets/1", "commits/1", CHANGES, SHARED, DESCRIPTION, SCHEMA]


def test_a_whole_checkpoint_passes(tmp_path: Path) -> None:
    """What Spark has left is not touched."""
    before = {path: path.read_bytes() for path in make(tmp_path).rglob("*") if path.is_file()}
    inspect(str(tmp_path))
    relocate(str(tmp_path))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("key", NEEDED)
def test_a_damaged_file_that_a_start_needs_is_named_with_the_way_out(
    key: str, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    """Halved, emptied, one bit flipped, a folder in its place, or gone."""
    damage(make(tmp_path) / key)
    if key == "offsets/2" and damage is Path.unlink:  # as if the batch had never been begun; the ledger knows better
        inspect(str(tmp_path))
        return
    with pytest.raises(CheckpointError, match="stocketl rebuild") as caught:
        inspect(str(tmp_path))
    named = Path(key).parent.name if key == DESCRIPTION and damage is Path.unlink else Path(key).name
    assert named in str(caught.value)


@pytest.mark.parametrize("damage", [halved, emptied, flipped, Path.unlink])
def test_a_damaged_snapshot_is_named(damage: Callable[[Path], None], tmp_path: Path) -> None:
    """Spark would begin with it; without the first one of all it ends with a NullPointerException."""
    damage(make(tmp_path) / SNAPSHOT)
    with pytest.raises(CheckpointError, match=r"1_a\.zip .*(does not fit its checksum|is missing)"):
        inspect(str(tmp_path))


@pytest.mark.parametrize("damage", [halved, emptied])
@pytest.mark.parametrize("key", [CHANGES, SNAPSHOT, SHARED, SCHEMA, DESCRIPTION, "offsets/2", "commits/1"])
def test_a_file_that_is_cut_off_is_named_though_its_checksums_are_gone(
    key: str, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    """Without checksums, as in S3, the damaged file is still the one that is named.

    A copy that leaves out hidden files has none either. Spark would try again for ever, or name another file.
    """
    path = make(tmp_path) / key
    damage(path)
    path.with_name(f".{path.name}.crc").unlink()
    with pytest.raises(CheckpointError, match=f"{path.name} .*stocketl rebuild"):
        inspect(str(tmp_path))


def test_a_schema_whose_columns_have_changed_is_named(tmp_path: Path) -> None:
    """Without checksums a bit more or less in it would look like an end of the file to Spark."""
    path = make(tmp_path) / SCHEMA
    path.write_bytes(path.read_bytes().replace(b'"value"', b'"value}'))
    path.with_name(f".{path.name}.crc").unlink()
    with pytest.raises(CheckpointError, match="0_schema does not describe the columns"):
        inspect(str(tmp_path))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("key", ["offsets/0", "commits/0", OPEN_CHANGES])
def test_what_nobody_needs_any_more_may_be_damaged(key: str, damage: Callable[[Path], None], tmp_path: Path) -> None:
    """Old logs, and the files of a batch that was killed before its commit; a folder is no file at all, though."""
    damage(make(tmp_path) / key)
    if damage is a_folder:
        with pytest.raises(CheckpointError, match="is a folder"):
            inspect(str(tmp_path))
    else:
        inspect(str(tmp_path))


@pytest.mark.parametrize("key", ["metadata", "stocketl.json", "open-batch.json", "handover/2-0.arrow", SNAPSHOT])
def test_a_folder_with_the_name_of_a_file_is_named(key: str, tmp_path: Path) -> None:
    """It would look like a file that is not there, or keep the next one from its place for ever."""
    path = make(tmp_path) / key
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)
    with pytest.raises(CheckpointError, match=f"{key} is a folder: expected a file"):
        inspect(str(tmp_path))


@pytest.mark.parametrize("damage", [halved, emptied, flipped, Path.unlink])
def test_the_name_that_nothing_refers_to_is_written_anew(damage: Callable[[Path], None], tmp_path: Path) -> None:
    """Spark alone would end with a stack trace."""
    damage(make(tmp_path) / "metadata")
    inspect(str(tmp_path))
    assert list(json.loads((tmp_path / "metadata").read_bytes())) == ["id"]
    assert not (tmp_path / ".metadata.crc").exists()


@pytest.mark.parametrize("damage", [halved, emptied, Path.unlink])
@pytest.mark.parametrize("key", [CHANGES, SCHEMA, "commits/1"])
def test_damaged_checksums_never_let_a_start_through_that_fails_later(
    key: str, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    """Without a header Hadoop looks at no sums: the file is good then, as it is without sums at all."""
    path = make(tmp_path) / key
    damage(path.with_name(f".{path.name}.crc"))
    try:
        inspect(str(tmp_path))
    except CheckpointError as error:
        assert path.name in str(error)  # noqa: PT017 (both are right)
    else:
        left = path.with_name(f".{path.name}.crc")
        assert not left.exists() or left.stat().st_size < 8


@pytest.mark.parametrize(
    "content", ["", '{"id": "c", "buckets"', "[]", '{"id": "c", "buckets": 2, "text_ids": false, "keys": [0]}', "null"]
)
def test_a_damaged_document_of_ours_is_refused(content: str, tmp_path: Path) -> None:
    """Without the keys of its buckets the state cannot be read."""
    (make(tmp_path) / "stocketl.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"stocketl\.json is not what the job wrote there.*stocketl rebuild"):
        open_checkpoint(str(tmp_path), buckets=1, text_ids=False)


@pytest.mark.parametrize("content", [b"", b'{"batch": 2, "sta', b"[]", b"\xff"])
def test_a_damaged_count_of_starts_begins_anew(content: bytes, tmp_path: Path) -> None:
    """Nothing else depends on it."""
    (make(tmp_path) / "open-batch.json").write_bytes(content)
    assert open_checkpoint(str(tmp_path), buckets=1, text_ids=False).count_start_of_open_batch() == 1


def test_a_commit_that_is_missing_in_between_is_named(tmp_path: Path) -> None:
    """Batch 2 was begun, so batch 1 was committed: going on from batch 0 would forget it."""
    make(tmp_path)
    (tmp_path / "commits" / "1").unlink()
    with pytest.raises(CheckpointError, match="commits/1 is missing, though batch 2 has begun after it"):
        inspect(str(tmp_path))


@pytest.mark.parametrize("left", [[], [".1.crc"]])
def test_a_checkpoint_that_has_lost_all_its_commits_is_refused(left: list[str], tmp_path: Path) -> None:
    """Batch 2 was begun, so there were commits: Spark would look for a state that no commit names."""
    for path in (make(tmp_path) / "commits").iterdir():
        if path.name not in left:
            path.unlink()
    with pytest.raises(CheckpointError, match=r"commits/1 is missing, though batch 2 has begun.*stocketl rebuild"):
        inspect(str(tmp_path))


@pytest.mark.parametrize("name", ["b", "a home with blanks", "Kurse für 株式", "a%20b"])
def test_a_moved_checkpoint_names_its_own_schema(name: str, tmp_path: Path) -> None:
    """Also where the old place still exists: a copy must not lean on what it was copied from."""
    make(tmp_path / "a")
    moved = Path(shutil.copytree(tmp_path / "a", tmp_path / name))
    inspect(str(moved))
    relocate(str(moved))
    assert _schema_paths((moved / DESCRIPTION).read_bytes()) == [f"file:{moved}/{SCHEMA}"]
    inspect(str(moved))


def test_a_checkpoint_restored_in_another_bucket_names_its_own_schema(tmp_path: Path, s3: Any) -> None:
    """As Hadoop's client of S3 writes it; the bucket's own notation is the same place."""
    place = open_place(f"s3://{s3.bucket()}/some where/checkpoint")
    for path in make(tmp_path).rglob("*"):
        if path.is_file() and not path.name.endswith(".crc"):
            place.put(path.relative_to(tmp_path).as_posix(), path.read_bytes())
    for old in ("s3a://another/checkpoint", "s3://another/checkpoint"):
        stores = [{"storeName": "default", "stateSchemaFilePaths": [f"{old}/{SCHEMA}"]}]
        place.put(DESCRIPTION, lines("v2", {"stateStoreInfo": stores}))
        inspect(place.url)
        relocate(place.url)
        own = "s3a://" + place.url.removeprefix("s3://")
        assert _schema_paths(place.get(DESCRIPTION) or b"") == [f"{own}/{SCHEMA}"]
    same = lines("v2", {"stateStoreInfo": [{"stateSchemaFilePaths": [f"{place.url}/{SCHEMA}"]}]})
    place.put(DESCRIPTION, same)
    relocate(place.url)
    assert place.get(DESCRIPTION) == same


def test_the_checkpoint_of_another_user_is_refused_with_the_users_names(tmp_path: Path) -> None:
    """Not a stack trace, and never an empty list of batches because a folder may not be looked at."""
    make(tmp_path)
    unreadable = tmp_path / "offsets"
    unreadable.chmod(0)
    for folder in [tmp_path, *tmp_path.parents][:-2]:
        folder.chmod(folder.stat().st_mode | 0o011)
    imports = "from streaming.checkpoint import inspection\nfrom streaming.storage import folder\n"
    script = f"import os, pwd, sys; sys.path[:] = {sys.path!r}\n{imports}"
    script += f"os.geteuid() or os.setuid(pwd.getpwnam('nobody').pw_uid)\ninspection.inspect({str(tmp_path)!r})"
    try:
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    finally:
        unreadable.chmod(0o700)
    assert "CheckpointError: the checkpoint cannot be used:" in ended.stderr
    assert f"belongs to the user {pwd.getpwuid(os.geteuid()).pw_name}" in ended.stderr


def test_a_description_that_nobody_needs_stays_as_it_is(tmp_path: Path) -> None:
    """Only the newest one is read; an older damaged one must not keep a moved home from its new place."""
    make(tmp_path / "a")
    put(tmp_path / "a", "state/0/_metadata/v2/1", (tmp_path / "a" / DESCRIPTION).read_bytes())
    moved = (tmp_path / "a").rename(tmp_path / "b")
    halved(moved / DESCRIPTION)
    inspect(str(moved))
    relocate(str(moved))
    newest = (moved / "state" / "0" / "_metadata" / "v2" / "1").read_bytes()
    assert _schema_paths(newest) == [f"file:{moved}/{SCHEMA}"]


def _schema_paths(description: bytes) -> list[str]:
    (store,) = json.loads(description.splitlines()[1])["stateStoreInfo"]
    return store["stateSchemaFilePaths"]
