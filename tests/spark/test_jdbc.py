"""Spark's own reader on the embedded server, by PostgreSQL's driver for JDBC."""

from __future__ import annotations

import datetime as dt
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg2
import pytest

from streaming.home import database as of_home
from streaming.settings import load
from streaming.spark import jars, maven

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

DRIVER = maven.Jar(
    "org.postgresql",
    "postgresql",
    "42.7.8",
    "2a32a9dcbc42d67a50ad3a0de5efd102c8d2be46720045f2cbd6689f160ab7c7",
    1116727,
)


def test_spark_reads_by_the_address_user_and_password_of_the_printed_uri(spark: SparkSession, tmp_path: Path) -> None:
    """With exact numbers and their types."""
    jar = tmp_path / DRIVER.name
    jars._bring(DRIVER, maven.repository(), jar, int)  # noqa: SLF001 - as the job gets its own
    spark.sql(f"ADD JAR '{jar}'")
    settings = load(environment=False, home=str(tmp_path / "home"))
    own, _ = of_home.start_and_leave_up(settings)
    try:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        uri = urlsplit(of_home.listen(settings, f"127.0.0.1:{port}")[0])
        with psycopg2.connect(own) as connection, connection.cursor() as cur:
            cur.execute("CREATE TABLE prices (date date, price float8, volume int8)")
            cur.execute("INSERT INTO prices VALUES ('2024-01-03', 370.1, %s)", (2**62 + 1,))
        connection.close()
        read = spark.read.format("jdbc").option("driver", "org.postgresql.Driver").option("dbtable", "prices")
        read = read.option("url", f"jdbc:postgresql://{uri.hostname}:{uri.port}{uri.path}")
        rows = read.option("user", uri.username).option("password", uri.password).load().collect()
        assert [tuple(row) for row in rows] == [(dt.date(2024, 1, 3), 370.1, 2**62 + 1)]
    finally:
        of_home.stop(settings, force=True)
