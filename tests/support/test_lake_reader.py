"""The reader of Delta tables that the whole-job tests use."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import lake_reader
import pyarrow as pa
import pyarrow.parquet
import pytest

if TYPE_CHECKING:
    import pathlib


def _add(path: str, **more: Any) -> str:
    return json.dumps({"add": {"path": path, "partitionValues": {}, **more}})


def test_rows_are_those_of_the_files_that_stand_after_all_commits(tmp_path: pathlib.Path) -> None:
    """A file that a later commit removed does not count, and equal rows count as often as they stand."""
    (tmp_path / "_delta_log").mkdir()
    for name, ids in (("a b.parquet", ["A", "A"]), ("gone.parquet", ["B"]), ("late.parquet", ["C"])):
        pyarrow.parquet.write_table(pa.table({"seq": [1] * len(ids), "id": ids}), tmp_path / name)
    commits = [
        json.dumps({"commitInfo": {}}) + "\n" + _add("a%20b.parquet") + "\n" + _add("gone.parquet"),
        json.dumps({"remove": {"path": "gone.parquet"}}) + "\n" + _add("late.parquet") + "\n",
    ]
    for number, text in enumerate(commits):
        (tmp_path / "_delta_log" / f"{number:020}.json").write_text(text)
    assert lake_reader.folder_rows(tmp_path) == Counter({(1, "A"): 2, (1, "C"): 1})


@pytest.mark.parametrize("more", [{"partitionValues": {"seq": "1"}}, {"deletionVector": {"storageType": "u"}}])
def test_a_table_that_it_cannot_read_right_is_refused(more: dict[str, Any]) -> None:
    """Partitions and deletion vectors would give wrong rows, so the reader stops."""
    with pytest.raises(AssertionError, match="this reader knows no"):
        lake_reader.active_files([_add("a.parquet", **more)])
