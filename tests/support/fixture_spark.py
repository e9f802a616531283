"""The one Spark session that all tests of the joints share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streaming.settings import load
from streaming.spark.session import session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    with session(load(home=tmp_path_factory.mktemp("spark"))) as started:
        yield started
