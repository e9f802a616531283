"""The keys of the state spread over the partitions as Spark's own hash does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F  # noqa: N812 (as all Spark code has it)

from streaming.checkpoint.state_keys import spark_hash, state_keys

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.spark
def test_the_hash_is_sparks(spark: SparkSession) -> None:
    """Spark decides where a key goes; a hash of our own that differed would leave cores idle."""
    numbers = [*range(200), 2**16, 2**31 - 1]
    frame = spark.createDataFrame([(number,) for number in numbers], "key int").select("key", F.hash("key").alias("h"))
    assert {row.key: row.h for row in frame.collect()} == {number: spark_hash(number) for number in numbers}


@pytest.mark.parametrize("buckets", [1, 2, 3, 8, 64])
def test_each_partition_gets_equally_many_buckets(buckets: int) -> None:
    """One key a bucket, no key twice, for each number of partitions that divides the number of buckets."""
    keys = state_keys(buckets)
    assert len(set(keys)) == buckets
    for partitions in (n for n in range(1, buckets + 1) if buckets % n == 0):
        homes = [spark_hash(key) % partitions for key in keys]
        assert {homes.count(home) for home in homes} == {buckets // partitions}
        assert set(homes) == set(range(partitions))
