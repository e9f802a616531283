"""Fixtures: a real PostgreSQL, a real S3 protocol server, one Spark session, each started once when first asked for."""

from __future__ import annotations

from weakref import WeakSet

import pytest

from streaming import waiting

pytest_plugins = ["fixture_aws", "fixture_blocks", "fixture_emr", "fixture_postgres", "fixture_s3", "fixture_spark"]


@pytest.fixture(autouse=True)
def _no_wait_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that outlives its test is none of the next one."""
    monkeypatch.setattr(waiting, "_registry", WeakSet())
