"""Names for moved drops: free, harmless, and short enough."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from streaming.errors import StorageError
from streaming.receipts.names import free_name, numbered, within
from streaming.storage.entries import path_of
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_s3 import S3Server


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("../x.csv", "%2E./x.csv"), ("a/../../x.csv", "a/%2E./%2E./x.csv"), ("a/../x.csv", "a/../x.csv"),
        ("./../x.csv", "./%2E./x.csv"), ("soap", "%73oap"), ("soap/x.csv", "soap/x.csv"), ("..x", "..x"),
    ],
)  # fmt: skip
def test_a_key_that_s3_refuses_without_the_prefix_of_the_input_gets_another_name(
    key: str, name: str, s3: S3Server
) -> None:
    """`drops/../x.csv` is a key; `../x.csv` leads out of the bucket, and `soap` is not served."""
    assert within(key) == name
    assert free_name(open_place(f"s3://{s3.bucket()}"), key, 1) == name


def test_a_name_that_is_taken_is_not_given(tmp_path: Path) -> None:
    """Whether it lies at the target or was given to another drop of the same batch."""
    target = open_place(f"{tmp_path}/success")
    target.put("a.7-2.csv", b"of an earlier life")
    assert free_name(target, "a.csv", 7, {"a.csv", "a.7.csv"}) == "a.7-3.csv"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a.csv", "a.12.csv"),
        ("a.csv.gz", "a.12.csv.gz"),
        ("A.CSV.GZ", "A.12.CSV.GZ"),
        ("sub.d/a", "sub.d/a.12"),
        ("prices.2024-01-02.csv", "prices.2024-01-02.12.csv"),
        ("a.b.c.csv", "a.b.c.12.csv"),
        ("a.gz", "a.12.gz"),
        ("-.csv", "-.12.csv"),
        ("å\n.csv", "å\n.12.csv"),
    ],
)
def test_a_taken_name_gets_the_seq_before_its_suffixes(key: str, expected: str, tmp_path: Path) -> None:
    """A free name stays as it is; `numbered` gives the same for whoever finds it taken by other means."""
    place = open_place(str(tmp_path))
    assert free_name(place, key, 12) == key
    place.put(key, b"")
    assert (free_name(place, key, 12), numbered(key, 12)) == (expected, expected)


def test_names_go_on_until_one_is_free(tmp_path: Path) -> None:
    """Where the numbered name is taken too, and where a file or a link stands in the way of a folder."""
    place = open_place(str(tmp_path / "success"))
    for key in ("a.csv", "a.12.csv", "d", "d%2Fx.12.csv"):
        place.put(key, b"")
    (tmp_path / "success" / "link").symlink_to(tmp_path)
    names = [free_name(place, key, 12) for key in ("a.csv", "d/x.csv", "d", "link/x.csv")]
    assert names == ["a.12-2.csv", "d%2Fx.12-2.csv", "d.12", "link%2Fx.12.csv"]
    with pytest.raises(StorageError, match="Not a directory"):
        place.put("link/x.csv", b"")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a/../../etc/x", "a/%2E./%2E./etc/x"),
        ("/etc/passwd", "%2F/etc/passwd"),
        ("./a", "%2E/a"),
        ("a//b/", "a/%2F/b/%2F"),
        (".claims/7", "%2Eclaims/7"),
        ("C:\\x\\y.csv", "C:%5Cx%5Cy.csv"),
        ("a\\xFF\\x5C.csv", "a\\xFF\\x5C.csv"),
        ("100%.csv", "100%.csv"),
    ],
)
def test_hostile_keys_stay_inside_the_target(key: str, expected: str, tmp_path: Path, s3: S3Server) -> None:
    """For a folder they are escaped, for a bucket they are keys like any other, if they do not lead out of it."""
    target = open_place(f"{tmp_path}/deep/success")
    name = free_name(target, key, 12)
    assert name == expected
    target.put(name, b"x")
    assert (target.keys(), [path.name for path in tmp_path.iterdir()]) == ([expected], ["deep"])
    leads_out = key.startswith("a/../..")
    assert free_name(open_place(f"s3://{s3.bucket()}"), key, 12) == (expected if leads_out else key)


@pytest.mark.parametrize(
    "key", ["k" * 996 + ".csv", "é" * 510 + ".gz", "d" * 300 + "/" + "e" * 600, "/" * 1024, "\\" * 1000]
)
def test_long_keys_fit(key: str, tmp_path: Path, s3: S3Server) -> None:
    """Components above 255 bytes, keys above 1,024 with the prefix: cut, told apart by a digest, also when numbered."""
    prefix = "p" * 100
    for target in (open_place(f"{tmp_path}/success"), open_place(f"s3://{s3.bucket()}/{prefix}")):
        names = []
        for seq in (1, 2):
            names.append(free_name(target, key, seq))
            target.put(names[-1], b"x")
            target.put(numbered(names[-1], 10**9), b"x")
        assert len({*names}) == 2
        assert len(target.keys()) == 4
        assert {name.endswith(key[-3:]) for name in names if "." in key} <= {True}


@given(key=st.text(st.sampled_from("./\\\0x5CF%é~a"), min_size=1), seq=st.integers(1, 3))
@example(key="." * 3000, seq=1)
@example(key="é/" * 500 + "é" * 12, seq=1)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_key_becomes_a_plain_path(key: str, seq: int, tmp_path: Path) -> None:
    """Whatever the key, the name has visible components of at most 255 bytes and leads below the target."""
    target = open_place(f"{tmp_path}/success")
    for name in (free_name(target, key, seq), free_name(target, numbered(key, seq), seq)):
        components = name.split("/")
        assert all(c and not c.startswith(".") and len(c.encode()) <= 255 and "\0" not in c for c in components)
        assert (len(name.encode()) <= 2048, os.path.normpath(path_of("/t", name))) == (True, path_of("/t", name))
