"""Fixtures: a real PostgreSQL, a real S3 protocol server, one Spark session, each started once when first asked for."""

from __future__ import annotations

import signal
from weakref import WeakSet

import pytest

from streaming import waiting

pytest_plugins = [
    "fixture_aws",
    "fixture_blocks",
    "fixture_classes",
    "fixture_emr",
    "fixture_postgres",
    "fixture_s3",
    "fixture_spark",
]

_SERVERS = {"postgres_server", "s3_server"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that ask for a server; `make check` leaves them out."""
    for item in items:
        if not _SERVERS.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("server")


@pytest.fixture(autouse=True)
def _no_wait_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that outlives its test is none of the next one."""
    monkeypatch.setattr(waiting, "_registry", WeakSet())


@pytest.fixture(autouse=True)
def _no_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal of the tests is none of theirs. Workers have its width in their environment, by readline."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True, scope="session")
def _programs_of_the_tests_hear_signals() -> None:
    """Behind nohup or in the background of a script SIGHUP or SIGINT is ignored, and programs would inherit that.

    They inherit no handler of Python, so they begin with the default, while the tests themselves go on ignoring it.
    """
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
