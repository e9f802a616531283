"""A local EMR: with a clock of the test's own and pretended steps, or behind HTTP."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from emr_direct import direct_client
from emr_server import EmrServer
from emr_steps import PretendSteps
from local_emr import LocalEmr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emr_faults import Faults
    from emr_records import Delays

NOON = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


class PretendEmr(LocalEmr):
    """An EMR whose time passes when the test says so. processes: what it runs; seen: the events."""

    def __init__(self, delays: Delays | None = None, faults: Faults | None = None, now: float = NOON) -> None:
        self.now = now
        self.processes = PretendSteps()
        self.seen: list[dict[str, Any]] = []
        super().__init__(
            lambda: self.now, run_step=self.processes, delays=delays, faults=faults, on_event=self.seen.append
        )

    @functools.cached_property
    def client(self) -> Any:
        """A boto3 client that calls this EMR without HTTP."""
        return direct_client(lambda: self)

    def after(self, seconds: float = 0.0) -> None:
        """Lets time pass, then everything that is due."""
        self.now += seconds
        self.tick()


@pytest.fixture
def emr() -> PretendEmr:
    """An EMR without delays and faults, from NOON on; steps end when the test ends them."""
    return PretendEmr()


@pytest.fixture
def emr_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmrServer]:
    """An EMR behind HTTP with pretended steps (`emr_server.steps`), and this process's environment pointing at it."""
    steps = PretendSteps()
    with EmrServer(LocalEmr(run_step=steps), every=0.01) as server:
        server.steps = steps
        for name, value in (_ENVIRONMENT | server.env).items():
            monkeypatch.setenv(name, value)
        yield server


def emr_client(**options: Any) -> Any:
    """A boto3 client of the EMR that the environment names; options: of botocore's Config."""
    return boto3.session.Session().client("emr", config=Config(**options))
